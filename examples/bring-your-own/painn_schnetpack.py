"""PaiNN of SchNetPack as a student: an adapter of its interface, which takes a dictionary, to the one of LAMMPS.

Needs the package schnetpack (Schütt et al., J. Chem. Phys. 158, 144801 (2023)).
"""

import schnetpack.nn as snn
import torch
from schnetpack import properties
from schnetpack.representation import PaiNN
from torch import nn

ATOMIC_NUMBERS = [8, 1]  # of the elements O H
CUTOFF = 4.0  # Å
NUM_INTERACTIONS = 2


class Adapter(nn.Module):
    """Representation and readout of a SchNetPack model, called with a graph."""

    def __init__(self, representation: nn.Module, readout: nn.Module) -> None:
        super().__init__()
        self.representation, self.readout = representation, readout
        self.register_buffer("atomic_numbers", torch.tensor(ATOMIC_NUMBERS))

    def forward(
        self, element: torch.Tensor, center: torch.Tensor, neighbor: torch.Tensor, rij: torch.Tensor
    ) -> torch.Tensor:
        inputs = {
            properties.Z: self.atomic_numbers[element],
            properties.Rij: rij,
            properties.idx_i: center,
            properties.idx_j: neighbor,
        }
        return self.readout(self.representation(inputs)["scalar_representation"])[:, 0]


def model() -> nn.Module:
    """Random weights. Of a trained model take ``representation``, and ``outnet`` of its module ``Atomwise``."""
    torch.manual_seed(1)
    channels = 16
    representation = PaiNN(
        n_atom_basis=channels,
        n_interactions=NUM_INTERACTIONS,
        radial_basis=snn.BesselRBF(n_rbf=8, cutoff=CUTOFF),
        cutoff_fn=snn.CosineCutoff(CUTOFF),
    )
    return Adapter(representation, snn.build_mlp(channels, 1))
