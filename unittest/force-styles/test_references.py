"""The references of the force-style cases are the student's: energy, forces and virial by the ASE calculator.

LAMMPS's tester compares the plugin with its own stored output; this makes the stored output right.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from mlff import MLFFCalculator

TESTS = Path(__file__).parent / "tests"
ROOT = Path(__file__).parents[2]
MASS_OF = {1.008: "H", 12.011: "C", 15.999: "O", 39.948: "Ar"}
KCAL = 23.060549  # LAMMPS's kcal/mol of an eV
# As in pair_mlff/test_ase_equals_lammps.py: positions of some 10 Å as text, second derivatives of 1e2 eV/Å^2.
TOLERANCE = 1e-10


def numbers(text: str, key: str) -> np.ndarray:
    """The table or the value of a key."""
    found = re.search(rf"^{key}:(?: \|\S*)?((?:\s+[-+.\de]+)+)$", text, re.MULTILINE)
    assert found, f"expected {key} in the case, found none"
    return np.array(found[1].split(), dtype=float)


def word(text: str, pattern: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, f"expected {pattern!r} in the case, found none"
    return found[1]


def read_data(path: Path) -> Atoms:
    lines = path.read_text().splitlines()
    bounds = [float(line.split()[1]) for line in lines if line.endswith("hi")]
    tilts = [[float(w) for w in line.split()[:3]] for line in lines if line.endswith("xy xz yz")]
    xy, xz, yz = tilts[0] if tilts else (0.0, 0.0, 0.0)
    cell = [[bounds[0], 0, 0], [xy, bounds[1], 0], [xz, yz, bounds[2]]]
    masses = [line.split() for line in lines[lines.index("Masses") + 2 : lines.index("Atoms # atomic") - 1]]
    table = np.array([line.split() for line in lines[lines.index("Atoms # atomic") + 2 :]], dtype=float)
    symbols = [MASS_OF[float(masses[int(kind) - 1][1])] for kind in table[:, 1]]
    assert list(table[:, 0]) == list(range(1, len(table) + 1))
    return Atoms(symbols, table[:, 2:5], cell=cell, pbc=True)


def student_results(atoms: Atoms, file: Path) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy, forces, virial (xx yy zz xy xz yz), of the atoms that the student knows."""
    calculator = MLFFCalculator(file, precision="fp64")
    known = np.array([symbol in calculator.student.header["elements"] for symbol in atoms.symbols])
    part = atoms[known]
    part.calc = calculator
    forces = np.zeros((len(atoms), 3))
    forces[known] = part.get_forces()
    virial = -part.get_stress() * part.get_volume()
    return part.get_potential_energy(), forces, virial[[0, 1, 2, 5, 4, 3]]


def lennard_jones(atoms: Atoms, cutoff: float, epsilon: float, sigma: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Of each pair with argon; all images within the cutoff."""
    energy, forces, virial = 0.0, np.zeros((len(atoms), 3)), np.zeros(6)
    argon = atoms.symbols == "Ar"
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T @ atoms.cell
    for i in range(len(atoms)):
        r = atoms.positions[None] + shifts[:, None] - atoms.positions[i]
        d = np.linalg.norm(r, axis=2)
        seen = (d > 1e-9) & (d < cutoff) & (argon | argon[i])[None]
        r, d = r[seen], d[seen]
        s6 = (sigma / d) ** 6
        f = -r * (24 * epsilon * (2 * s6**2 - s6) / d**2)[:, None]  # on i
        energy += 0.5 * (4 * epsilon * (s6**2 - s6)).sum()
        forces[i] = f.sum(axis=0)
        w = r.T @ f
        virial -= 0.5 * w[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    return energy, forces, virial


@pytest.mark.parametrize("case", sorted(TESTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_reference_is_the_students(case: Path) -> None:
    text = case.read_text()
    unit = KCAL if "units index real" in text else 1.0
    atoms = read_data(TESTS / word(text, r"^input_file: (\S+)").replace("in.", "data."))
    name = word(text, r"(\S+\.pt)")
    file = next(path for path in (ROOT / "potentials" / name, ROOT / "unittest/reference" / name) if path.exists())
    energy, forces, virial = student_results(atoms, file)
    if "lj/cut" in text:
        cutoff = float(word(text, r"^pair_style: .*lj/cut (\S+)"))
        epsilon, sigma = word(text, r"lj/cut (\S+ \S+)$").split()
        pairs = lennard_jones(atoms, cutoff, float(epsilon), float(sigma))
        energy, forces, virial = energy + pairs[0], forces + pairs[1], virial + pairs[2]
    rms = np.sqrt((forces**2).mean())
    assert rms > 0.1
    stored = numbers(text, "init_forces").reshape(-1, 4)[:, 1:] / unit
    assert np.abs(stored - forces).max() < TOLERANCE * rms
    assert numbers(text, "init_vdwl")[0] / unit == pytest.approx(energy, rel=TOLERANCE)
    # a sum of r F over atoms that are some 10 Å apart, much of which cancels
    assert np.abs(numbers(text, "init_stress") / unit - virial).max() < TOLERANCE * rms * 10 * len(atoms)
