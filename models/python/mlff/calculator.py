"""ASE calculator for ``.pt`` files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from .student import Student

__all__ = ["MLFFCalculator"]


class MLFFCalculator(Calculator):
    """Energy, energies (per atom), forces and stress of a student, for periodic and other atoms.

    Energies hold the file's reference energies. ``stress`` (Voigt, eV/Å^3, positive under tension) exists where all
    three directions are periodic.

    Parameters
    ----------
    file, device, precision, neighbors
        as for `mlff.student.Student`

    Examples
    --------
    >>> atoms.calc = MLFFCalculator("water-small.pt", precision="fp64")
    >>> atoms.get_potential_energy()
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(
        self,
        file: str | os.PathLike[str],
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        neighbors: str = "auto",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.student = Student(file, device, precision, neighbors)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Everything at once: forces cost one more pass, and whoever asks for an energy mostly asks for them next."""
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms  # ASE's copy of the argument, or the atoms of the last call
        if atoms is None:
            raise ValueError("expected atoms to calculate, found none")
        periodic = bool(atoms.pbc.all())
        if "stress" in properties and not periodic:
            raise PropertyNotImplementedError(
                "stress: expected atoms that are periodic in three directions, found pbc = "
                f"{atoms.pbc.tolist()}. Forces and energies need no periodicity."
            )
        (prediction,) = self.student.predict([atoms])
        self.results = {
            "energy": prediction.energy,
            "free_energy": prediction.energy,
            "energies": prediction.atom_energies,
            "forces": prediction.forces,
        }
        if periodic:
            self.results["stress"] = prediction.stress(atoms.get_volume())
