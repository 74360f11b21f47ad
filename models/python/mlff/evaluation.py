"""A student over many frames, in batches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms

from .student import Student

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """Results in the order of the frames.

    Attributes
    ----------
    energies : float64 [frames]
        eV
    atom_energies : a float64 [atoms] for each frame
        eV; their sum is the energy
    forces : a float64 [atoms, 3] for each frame
        eV/Å
    virials : float64 [frames, 6]
        -dE/dstrain in eV: xx, yy, zz, xy, xz, yz, as in LAMMPS
    stresses : float64 [frames, 6]
        eV/Å^3 as in ASE: xx, yy, zz, yz, xz, xy; NaN where not all three directions are periodic
    """

    energies: np.ndarray
    atom_energies: list[np.ndarray]
    forces: list[np.ndarray]
    virials: np.ndarray
    stresses: np.ndarray


def evaluate(
    frames: Sequence[Atoms],
    file: str | os.PathLike[str],
    batch_size: int = 32,
    precision: str = "fp32",
    device: str | torch.device = "cpu",
    neighbors: str = "auto",
) -> Evaluation:
    """Energies, forces and virials of all frames, ``batch_size`` frames in one call of the network.

    Other parameters are those of `mlff.student.Student`.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected 1 or more, found {batch_size}")
    student = Student(file, device, precision, neighbors)
    predictions = [
        prediction
        for first in range(0, len(frames), batch_size)
        for prediction in student.predict(frames[first : first + batch_size])
    ]
    return Evaluation(
        energies=np.array([prediction.energy for prediction in predictions]),
        atom_energies=[prediction.atom_energies for prediction in predictions],
        forces=[prediction.forces for prediction in predictions],
        virials=np.array([prediction.virial for prediction in predictions]).reshape(-1, 6),
        stresses=np.array(
            [
                prediction.stress(atoms.get_volume()) if atoms.pbc.all() else np.full(6, np.nan)
                for prediction, atoms in zip(predictions, frames, strict=True)
            ]
        ).reshape(-1, 6),
    )
