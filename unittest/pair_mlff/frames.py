"""Several systems in one process of LAMMPS, and the Python student as the judge of each frame that it wrote.

A script is made of cases. Each begins with ``clear`` and ends with frames: energy, virial and cell in the log, atoms
and forces in a dump, as they are after the last step, with whatever neighbor list was in use.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers
from lammps_run import Lammps, force_difference
from mlff.data import energy_forces_virial
from mlff.student import Student

BAR = 1.6021765e6  # LAMMPS's own bar per eV/Å^3 in metal units, with its eight digits
# Positions of some 10 Å carry 2e-15 Å through text and wrapping; second derivatives of 1e2 eV/Å^2 beside forces of
# 1 eV/Å make 1e-13 of it, stiff walls ten times that (test_ase_equals_lammps.py).
FORCE_TOLERANCE, ENERGY_TOLERANCE = 1e-11, 1e-12

OUTPUT = """
compute virial all pressure NULL virial
thermo_style custom step atoms pe c_virial[1] c_virial[2] c_virial[3] c_virial[4] c_virial[5] c_virial[6]
thermo_modify lost error
"""


@dataclass(frozen=True)
class Frame:
    """What LAMMPS had after the last step of a run."""

    energy: float
    virial: np.ndarray  # [6] eV, as LAMMPS orders it
    cell: np.ndarray
    pbc: np.ndarray
    atoms: dict[str, np.ndarray]  # id type x y z fx fy fz, sorted by id

    @property
    def x(self) -> np.ndarray:
        return np.stack([self.atoms[axis] for axis in "xyz"], axis=1)

    @property
    def forces(self) -> np.ndarray:
        return np.stack([self.atoms["f" + axis] for axis in "xyz"], axis=1)

    @property
    def types(self) -> np.ndarray:
        return self.atoms["type"].astype(int)


def scatter_atoms(cell: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Types (1 and 2) and positions, no two nearer than 1.25 Å across faces too."""
    rng = np.random.default_rng(count)
    chosen: list[np.ndarray] = []
    while len(chosen) < count:
        s = rng.random(3)
        apart = np.array(chosen).reshape(-1, 3) - s
        if np.all(np.linalg.norm((apart - np.round(apart)) @ cell, axis=1) > 1.25):
            chosen.append(s)
    return rng.integers(1, 3, count), np.array(chosen) @ cell


def frame(name: str) -> str:
    """Commands after a run with OUTPUT that write what `read_frames` returns under `name`."""
    values = ["pe", *(f"c_virial[{k}]" for k in range(1, 7)), "vol", "lx", "ly", "lz", "xy", "xz", "yz"]
    numbers = " ".join(f"$({value}:%.17g)" for value in values)
    return f"""
    write_dump all custom {name}.frame id type x y z fx fy fz modify sort id format float %.17g
    print "FRAME {name} {numbers}"
    """


def read_frames(folder: Path, log: str) -> dict[str, Frame]:
    found = {}
    for name, text in re.findall(r"^FRAME (\S+) (.*)$", log, re.M):
        energy, *numbers = (float(word) for word in text.split())
        volume, lx, ly, lz, xy, xz, yz = numbers[6:]
        lines = (folder / f"{name}.frame").read_text().splitlines()
        bounds = next(line.split() for line in lines if line.startswith("ITEM: BOX BOUNDS"))
        columns, table = lines[8].split()[2:], np.array([line.split() for line in lines[9:]], dtype=float)
        table = table.reshape(-1, len(columns))
        found[name] = Frame(
            energy,
            np.array(numbers[:6]) * volume / BAR,
            np.array([[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]]),
            np.array([word == "pp" for word in bounds[-3:]]),
            {column: table[:, k] for k, column in enumerate(columns)},
        )
    return found


class Judge:
    """A student in Python: brute-force edges or matscipy's, PaiNN and autograd, all in double."""

    def __init__(self, file: Path, elements: list[str]) -> None:
        self.student = Student(file, precision="fp64")
        self.numbers = np.array([atomic_numbers[element] for element in elements])  # of each atom type

    def predict(
        self, frame: Frame, keep: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Energy, forces and virial; `keep` of the edges' two ends (rows of `frame.atoms`) leaves edges out."""
        if len(frame.types) == 0:
            return 0.0, np.zeros((0, 3)), np.zeros(6)
        atoms = Atoms(self.numbers[frame.types - 1], frame.x, cell=frame.cell, pbc=frame.pbc)
        graph = self.student.graph(atoms)
        if keep is not None:
            kept = torch.as_tensor(keep(graph.center.numpy(), graph.neighbor.numpy()))
            graph = replace(graph, center=graph.center[kept], neighbor=graph.neighbor[kept], rij=graph.rij[kept])
        energy, forces, virial = energy_forces_virial(self.student.model, graph)
        return float(energy[0]), forces.detach().numpy(), virial[0].detach().numpy()

    def expect(
        self, frame: Frame, keep: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None, count: int | None = None
    ) -> None:
        """The frame has the student's energy, forces and virial, and `count` atoms."""
        energy, forces, virial = self.predict(frame, keep)
        if count is not None:
            assert len(frame.types) == count
        assert abs(frame.energy - energy) <= ENERGY_TOLERANCE * max(1.0, abs(energy))
        if len(forces) and np.abs(forces).max() > 0.0:
            assert force_difference(frame.forces, forces) < FORCE_TOLERANCE
            assert np.abs(frame.virial - virial).max() < FORCE_TOLERANCE * max(1.0, np.abs(virial).max())
        else:
            assert np.abs(frame.forces).max(initial=0.0) == 0.0


@dataclass(frozen=True)
class Cases:
    """The frames and the parts of the log of several cases that one process of LAMMPS went through."""

    frames: dict[str, Frame]
    log: dict[str, str]  # by case

    def __getitem__(self, name: str) -> Frame:
        assert name in self.frames, f"expected the frame {name}, found the log:\n{self.tail(name)}"
        return self.frames[name]

    def tail(self, name: str) -> str:
        text = self.log.get(name.split(".")[0]) or list(self.log.values())[-1]  # of the case that stopped
        return text[-3000:]


def run_cases(lammps: Lammps, folder: Path, cases: dict[str, str], ranks: int = 1) -> Cases:
    """All cases one after the other. One that stops takes those after it along; its log says why."""
    script = "".join(f'clear\nprint "CASE {name}"\n{text}\n' for name, text in cases.items())
    run = lammps.run(folder, script, ranks, fails=None)
    parts = re.split(r"^CASE (\S+)\n", run.log, flags=re.M)
    return Cases(read_frames(folder, run.log), dict(zip(["", *parts[1::2]], parts[::2], strict=True)))
