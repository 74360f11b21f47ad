"""The ASE calculator and `mlff.evaluate`: derivatives, symmetry, batches, and a sentence for every mistake."""

from __future__ import annotations

from pathlib import Path

import ase
import mlff
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.calculator import PropertyNotImplementedError
from mlff.neighbors import installed_methods

SLANTED = np.array([[8.0, 0, 0], [1.7, 7.7, 0], [-0.9, 1.3, 8.3]])


def liquid(seed: int = 0, pbc: bool | tuple[bool, ...] = True) -> ase.Atoms:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)
    x = (grid + 0.3 * rng.random(grid.shape)) / 3 @ SLANTED
    return ase.Atoms(["O", "H", "H"] * 9, positions=x, cell=SLANTED, pbc=pbc)


def calculator(student: Path, precision: str = "fp64", **keywords: str) -> mlff.MLFFCalculator:
    return mlff.MLFFCalculator(student, precision=precision, **keywords)


@pytest.mark.parametrize("pbc", [True, False, (True, True, False)])
def test_forces_are_the_derivative_of_the_energy(gentle_student: Path, pbc: bool | tuple[bool, ...]) -> None:
    atoms = liquid(pbc=pbc)
    atoms.calc = calculator(gentle_student)
    forces, eps = atoms.get_forces(), 1e-4
    for i, a in ((0, 0), (1, 1), (13, 2)):
        energy = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[i, a] += sign * eps
            moved.calc = atoms.calc
            energy.append(moved.get_potential_energy())
        assert forces[i, a] == pytest.approx(-(energy[0] - energy[1]) / (2 * eps), abs=1e-6)
    assert np.abs(forces.sum(0)).max() < 1e-10


def test_stress_is_the_derivative_with_respect_to_strain(gentle_student: Path) -> None:
    atoms, eps = liquid(), 1e-4
    atoms.calc = calculator(gentle_student)
    stress = atoms.get_stress()
    for component, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        energy = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * eps / 2
            strain[b, a] += sign * eps / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell @ strain, scale_atoms=True)
            strained.calc = atoms.calc
            energy.append(strained.get_potential_energy())
        expected = (energy[0] - energy[1]) / (2 * eps) / atoms.get_volume()
        assert stress[component] == pytest.approx(expected, abs=1e-8)


def test_energies_of_atoms_sum_to_the_energy(gentle_student: Path) -> None:
    atoms = liquid()
    atoms.calc = calculator(gentle_student)
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy(), rel=1e-13)


def test_rotation_turns_forces_and_keeps_the_energy(gentle_student: Path) -> None:
    atoms = molecule("H2O")
    atoms.calc = calculator(gentle_student)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))  # may invert as well
    turned = atoms.copy()
    turned.positions = atoms.positions @ turn.T
    turned.calc = atoms.calc
    assert turned.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), rel=1e-13)
    assert np.abs(turned.get_forces() - atoms.get_forces() @ turn.T).max() < 1e-11


def test_atoms_outside_the_cell_are_where_their_images_are(gentle_student: Path) -> None:
    atoms = liquid()
    moved = atoms.copy()
    moved.positions += np.random.default_rng(3).integers(-2, 3, (len(atoms), 3)) @ SLANTED
    atoms.calc = moved.calc = calculator(gentle_student)
    assert moved.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), rel=1e-12)


def test_single_atom_has_the_energy_of_its_element(gentle_student: Path) -> None:
    atoms = ase.Atoms("O", positions=[[0, 0, 0]])
    atoms.calc = calculator(gentle_student)
    assert np.all(atoms.get_forces() == 0.0)
    assert np.isfinite(atoms.get_potential_energy())


@pytest.mark.parametrize("method", installed_methods())
def test_every_neighbor_search_gives_the_same(gentle_student: Path, method: str) -> None:
    reference, other = (calculator(gentle_student, neighbors=name) for name in ("brute", method))
    for atoms in (liquid(), liquid(pbc=(True, False, True)), molecule("H2O")):
        assert other.get_potential_energy(atoms) == pytest.approx(reference.get_potential_energy(atoms), rel=1e-14)
        assert np.abs(other.get_forces(atoms) - reference.get_forces(atoms)).max() < 1e-12


def test_single_precision_is_near_double(gentle_student: Path) -> None:
    atoms = liquid()
    double, single = (calculator(gentle_student, precision).get_forces(atoms) for precision in ("fp64", "fp32"))
    # 6e-8 a value, some 50 neighbors times 16 channels are summed
    assert np.abs(double - single).max() < 1e-4 * np.sqrt((double**2).mean())


def test_batches_equal_one_by_one(gentle_student: Path) -> None:
    frames = [liquid(0), molecule("H2O"), liquid(1), ase.Atoms("H", positions=[[0, 0, 0]]), liquid(2, pbc=False)]
    for batch_size in (2, 5):
        together = mlff.evaluate(frames, gentle_student, batch_size=batch_size, precision="fp64")
        for atoms, found in zip(frames, together, strict=True):
            alone = mlff.evaluate([atoms], gentle_student, precision="fp64")[0]
            assert found.energy == pytest.approx(alone.energy, rel=1e-12)
            assert np.abs(found.energies - alone.energies).max() < 1e-12
            assert np.abs(found.forces - alone.forces).max() < 1e-12
            assert np.abs(found.virial - alone.virial).max() < 1e-11
            assert (found.stress is None) == (not atoms.pbc.all())
    assert mlff.evaluate([], gentle_student) == []


def test_mistakes_get_a_sentence(gentle_student: Path) -> None:
    with pytest.raises(ValueError, match="expected the elements H, O, found Xe"):
        calculator(gentle_student).get_potential_energy(ase.Atoms("Xe"))
    with pytest.raises(ValueError, match="expected precision fp64 or fp32, found 'double'"):
        calculator(gentle_student, "double")
    with pytest.raises(PropertyNotImplementedError, match="periodic in three directions for stress"):
        calculator(gentle_student).get_stress(molecule("H2O"))
