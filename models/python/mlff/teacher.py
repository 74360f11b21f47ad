"""The teacher: SevenNet as a potential (see `mlff.data`), so that it labels frames in batches and drives dynamics."""

from __future__ import annotations

import importlib.metadata

import torch
from torch import Tensor, nn

__all__ = ["LICENSE", "VERSION", "SevenNet", "installed_version"]

VERSION = "0.13.0"  # of the package sevenn, with which the published students were made
LICENSE = "MIT"  # of the package sevenn and the weights in it


def installed_version() -> str | None:
    """Of the package sevenn, without importing it."""
    try:
        return importlib.metadata.version("sevenn")
    except importlib.metadata.PackageNotFoundError:
        return None


class SevenNet(nn.Module):
    """A pretrained SevenNet. ``forward`` gives atom energies [num_nodes] in eV.

    Weights come from the ``sevenn`` package, which carries them. Everything that the original makes anew on the host at
    each call (element map, modality) is a buffer here, so that a call can be captured in a CUDA graph.

    Parameters
    ----------
    name
        as ``sevenn`` names it, for example ``7net-mf-0``
    modal
        fidelity of a model with several, for example ``R2SCAN``
    atomic_numbers
        what the element indices of `forward` stand for
    """

    species: Tensor
    modality: Tensor

    def __init__(self, name: str, modal: str | None, atomic_numbers: list[int]) -> None:
        super().__init__()
        try:
            import sevenn
            import sevenn._keys as key
            from sevenn.util import load_checkpoint
        except ImportError as error:
            raise ImportError(
                f"The teacher {name} needs the package 'sevenn' (and with it e3nn and torch_geometric), which cannot "
                f"be imported here ({error}). Install it with: pip install sevenn=={VERSION}"
            ) from error
        self.key = key
        self.name, self.modal, self.version = name, modal, str(sevenn.__version__)
        model = load_checkpoint(name).build_model()
        self.cutoff = float(model.cutoff)
        missing = [z for z in atomic_numbers if z not in model.type_map]
        if missing:
            raise ValueError(f"{name} does not know the atomic numbers {missing}")
        self.register_buffer("species", torch.tensor([model.type_map[z] for z in atomic_numbers]))
        # [1]: a scalar index would be read by the host, which no CUDA graph allows
        self.register_buffer("modality", torch.tensor([model.modal_map[modal] if modal else 0]))
        model.eval_type_map = False
        model.eval_modal_map = False
        model.key_grad = None
        # one modality holds for all atoms, and batches are told apart outside, so a batch is one big graph to the model
        model.set_is_batch_data(False)
        model.delete_module_by_key("reduce_total_enegy")
        model.delete_module_by_key("force_output")
        self.model = model.eval().requires_grad_(False)

    def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
        key = self.key
        data = {
            key.NODE_FEATURE: self.species[element],
            key.EDGE_IDX: torch.stack([center, neighbor]),
            key.EDGE_VEC: rij,
            key.MODAL_TYPE: self.modality,
        }
        return self.model(data)[key.ATOMIC_ENERGY].squeeze(1)
