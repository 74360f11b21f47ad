"""Students of kind ``custom``: a module of which only ``forward(element, center, neighbor, rij)`` is known."""

from __future__ import annotations

import os
from typing import Any

import torch

__all__ = ["CustomStudent", "load_custom"]


class CustomStudent(torch.nn.Module):
    """The program of a file with the reference energies of its header; called as `mlff.painn.PaiNN` is."""

    def __init__(self, program: torch.jit.ScriptModule, header: dict[str, Any]) -> None:
        super().__init__()
        self.program = program
        self.cutoff = float(header["cutoff"])
        self.reference_energies = tuple(header["reference_energies"])

    def forward(
        self, element: torch.Tensor, center: torch.Tensor, neighbor: torch.Tensor, rij: torch.Tensor
    ) -> torch.Tensor:
        """Energies of all nodes in eV, float64."""
        reference = torch.tensor(self.reference_energies, dtype=torch.float64, device=rij.device)
        return self.program(element, center, neighbor, rij).double() + reference[element]


def load_custom(path: str | os.PathLike[str], header: dict[str, Any]) -> CustomStudent:
    """The student of a file with this header, which was read and checked."""
    return CustomStudent(torch.jit.load(os.fspath(path), map_location="cpu"), header)
