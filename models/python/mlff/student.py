"""A student in Python: from atoms to energies, forces and virials, alone or many frames at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from .custom import load_custom
from .data import Graph, join_graphs, scatter_gradient
from .model_file import load_model, read_header
from .neighbors import choose_method, find_edges

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["PRECISIONS", "Prediction", "Student"]

#: Types of the network's arithmetic. Edge vectors are subtracted, and all sums taken, in double whatever it is.
PRECISIONS = {"fp32": torch.float32, "fp64": torch.float64}


@dataclass(frozen=True)
class Prediction:
    """What a student says about one frame.

    Attributes
    ----------
    atom_energies : float64 [atoms]
        eV, reference energies included; their sum is the energy
    forces : float64 [atoms, 3]
        eV/Å
    virial : float64 [6]
        -dE/dstrain in eV: xx, yy, zz, xy, xz, yz, as in LAMMPS
    """

    atom_energies: np.ndarray
    forces: np.ndarray
    virial: np.ndarray

    @property
    def energy(self) -> float:
        """eV"""
        return float(self.atom_energies.sum())

    def stress(self, volume: float) -> np.ndarray:
        """dE/dstrain / volume in eV/Å^3 as ASE wants it: xx, yy, zz, yz, xz, xy; positive under tension."""
        return -self.virial[[0, 1, 2, 5, 4, 3]] / volume


class Student:
    """The weights of a ``.pt`` file, evaluated by `PaiNN`, or the module of one of kind ``custom``.

    Parameters
    ----------
    file
        a student written by ``mlff export`` or ``mlff wrap``
    device
        as Torch names it: ``cpu``, ``cuda``, ``cuda:1``, ...
    precision
        ``fp32`` or ``fp64``, the network's arithmetic
    neighbors
        ``auto``, ``matscipy``, ``torch_cluster`` or ``brute``; see `mlff.neighbors`
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        neighbors: str = "auto",
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision: expected {' or '.join(PRECISIONS)}, found {precision!r}")
        self.file = os.fspath(file)
        self.device = torch.device(device)
        self.dtype = PRECISIONS[precision]
        choose_method(neighbors)  # a method that is not installed is an error now, not at the first frame
        self.neighbors = neighbors
        self.header = read_header(file)
        model: torch.nn.Module
        if self.header["kind"] == "custom":
            if precision not in self.header["precisions"]:
                raise ValueError(
                    f"{self.file}: expected a precision that the file states ({' '.join(self.header['precisions'])}), "
                    f"found {precision}"
                )
            model = load_custom(file, self.header)
        else:
            model, _ = load_model(file)
        self.cutoff: float = self.header["cutoff"]
        self.model = model.eval().requires_grad_(False).to(self.device, self.dtype)
        self.element_of_number = np.full(256, -1, dtype=np.int64)
        self.element_of_number[self.header["atomic_numbers"]] = np.arange(len(self.header["elements"]))

    def graph(self, atoms: Atoms) -> Graph:
        """The graph of one frame, on the device, with edge vectors in double."""
        element = self.element_of_number[atoms.numbers]
        if (element < 0).any():
            unknown = sorted({atoms[int(i)].symbol for i in np.flatnonzero(element < 0)})
            raise ValueError(
                f"{self.file}: expected atoms of the elements {' '.join(self.header['elements'])}, found "
                f"{' '.join(unknown)}. Use a student that was trained with {'it' if len(unknown) == 1 else 'them'}."
            )
        edges = find_edges(atoms.positions, atoms.cell.array, atoms.pbc, self.cutoff, self.neighbors)
        return Graph(
            element=torch.as_tensor(element, device=self.device),
            center=torch.as_tensor(edges.center, device=self.device),
            neighbor=torch.as_tensor(edges.neighbor, device=self.device),
            rij=torch.as_tensor(edges.rij, device=self.device),
            frame=torch.zeros(len(atoms), dtype=torch.long, device=self.device),
            num_frames=1,
        )

    def predict(self, frames: Sequence[Atoms]) -> list[Prediction]:
        """All frames as one graph: one call of the network."""
        if not frames:
            return []
        graph = join_graphs([self.graph(atoms) for atoms in frames])
        rij = graph.rij.to(self.dtype).detach().requires_grad_(True)
        with torch.enable_grad():
            energies = self.model(graph.element, graph.center, graph.neighbor, rij)
            # without edges a module's energies need not be a function of them
            gradient = torch.autograd.grad(energies.sum(), rij)[0] if len(rij) else torch.zeros_like(rij)
        forces, virials = scatter_gradient(graph, graph.rij, gradient.double())
        ends = np.cumsum([len(atoms) for atoms in frames])[:-1]
        return [
            Prediction(*arrays)
            for arrays in zip(
                np.split(energies.detach().cpu().numpy(), ends),
                np.split(forces.cpu().numpy(), ends),
                virials.cpu().numpy(),
                strict=True,
            )
        ]
