"""The ASE calculator: gradients of its own energy, symmetric, equal for every neighbor search, for every boundary."""

from __future__ import annotations

from pathlib import Path

import mlff
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from mlff.calculator import MLFFCalculator
from mlff.model_file import load_model
from mlff.neighbors import METHODS, import_failure

STUDENT = Path(__file__).parent.parent / "reference" / "painn-tiny-v1.pt"  # H O, cutoff 5 Å, forces of some eV/Å
INSTALLED = [name for name, module in METHODS.items() if import_failure(module) is None]

CUBIC = 7.0 * np.eye(3)
SLANTED = np.array([[6.4, 0.2, 0.0], [2.1, 6.1, 0.3], [-1.3, 1.7, 6.6]])
TINY = np.array([[2.6, 0.0, 0.0], [0.9, 2.5, 0.0], [0.4, -0.8, 2.7]])
SYSTEMS = [
    pytest.param(CUBIC, True, 14, id="cubic"),
    pytest.param(SLANTED, True, 14, id="slanted"),
    pytest.param(TINY, True, 1, id="tiny"),
    pytest.param(SLANTED, (True, False, True), 14, id="slab"),
    pytest.param(CUBIC, False, 14, id="cluster"),
]


def system(cell: np.ndarray, pbc: bool | tuple[bool, ...], count: int) -> Atoms:
    """Random atoms, no two (images included) nearer than 1.2 Å, in the cell."""
    rng = np.random.default_rng(11)
    atoms = Atoms(cell=cell, pbc=True)
    while len(atoms) < count:
        trial = atoms + Atoms("HO"[len(atoms) % 2], [rng.random(3) @ cell])
        distances = trial.get_all_distances(mic=True)[-1, :-1]
        if (distances > 1.2).all():
            atoms = trial
    atoms.pbc = pbc
    return atoms


def double(atoms: Atoms, neighbors: str = "auto") -> Atoms:
    """A copy with the calculator in fp64."""
    atoms = atoms.copy()
    atoms.calc = MLFFCalculator(STUDENT, precision="fp64", neighbors=neighbors)
    return atoms


def force_difference(a: np.ndarray, b: np.ndarray) -> float:
    """max |dF| / rms F"""
    return float(np.abs(a - b).max() / np.sqrt((b**2).mean()))


@pytest.mark.parametrize(("cell", "pbc", "count"), SYSTEMS)
def test_forces_are_the_gradient(cell: np.ndarray, pbc: bool | tuple[bool, ...], count: int) -> None:
    atoms = double(system(cell, pbc, count))
    forces, h = atoms.get_forces(), 1e-4
    numeric = np.zeros_like(forces)
    for i, a in np.ndindex(forces.shape):
        energy = []
        for step in (2, 1, -1, -2):
            moved = atoms.copy()
            moved.positions[i, a] += step * h
            moved.calc = atoms.calc
            energy.append(moved.get_potential_energy())
        numeric[i, a] = (energy[0] - 8 * energy[1] + 8 * energy[2] - energy[3]) / (12 * h)
    # fourth order: h^4 = 1e-16 times a fifth derivative; energies of some 10 eV keep 1e-14 / h = 1e-10 eV/Å
    assert np.abs(numeric - forces).max() < 1e-8
    if count > 1:
        assert np.sqrt((forces**2).mean()) > 0.1, "forces are large enough for the test to mean something"


@pytest.mark.parametrize("cell", [CUBIC, SLANTED, TINY], ids=["cubic", "slanted", "tiny"])
def test_stress_is_the_strain_derivative(cell: np.ndarray) -> None:
    atoms = double(system(cell, True, 1 if cell is TINY else 14))
    stress, h = atoms.get_stress(voigt=False), 1e-4
    numeric = np.zeros((3, 3))
    for a, b in np.ndindex(3, 3):
        energy = []
        for step in (2, 1, -1, -2):
            strain = np.eye(3)
            strain[a, b] += step * h
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            strained.calc = atoms.calc
            energy.append(strained.get_potential_energy())
        derivative = (-energy[0] + 8 * energy[1] - 8 * energy[2] + energy[3]) / (12 * h)
        numeric[a, b] = derivative / atoms.get_volume()
    # as for forces, with derivatives larger by the cell's length to the fifth and then divided by the volume
    assert np.abs(numeric - stress).max() < 1e-8
    assert np.abs(stress).max() > 1e-3


def test_energies_are_those_of_the_model() -> None:
    """Against edges written out by hand: a water-like molecule whose six edges are all differences."""
    x = np.array([[0.0, 0, 0], [0.9, 0.3, 0], [-0.3, 0.95, 0.1]])
    molecule = double(Atoms("OHH", x))
    model = load_model(STUDENT)[0].double()
    center, neighbor = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([1, 2, 0, 2, 0, 1])
    rij = torch.tensor(x)[neighbor] - torch.tensor(x)[center]
    expected = model(torch.tensor([1, 0, 0]), center, neighbor, rij).detach().numpy()
    # the same operations on the same numbers
    np.testing.assert_allclose(molecule.get_potential_energies(), expected, rtol=1e-14)
    assert molecule.get_potential_energy() == pytest.approx(expected.sum(), rel=1e-14)
    assert molecule.get_potential_energy(force_consistent=True) == molecule.get_potential_energy()


@pytest.mark.parametrize("method", INSTALLED)
@pytest.mark.parametrize(("cell", "pbc", "count"), SYSTEMS)
def test_neighbor_searches_agree(cell: np.ndarray, pbc: bool | tuple[bool, ...], count: int, method: str) -> None:
    atoms = system(cell, pbc, count)
    found, brute = double(atoms, method), double(atoms, "brute")
    # equal edges in equal order: the same numbers
    np.testing.assert_array_equal(found.get_potential_energies(), brute.get_potential_energies())
    np.testing.assert_array_equal(found.get_forces(), brute.get_forces())


@pytest.mark.parametrize("pbc", [True, (True, False, True)], ids=["periodic", "mixed"])
def test_atoms_outside_the_cell(pbc: bool | tuple[bool, ...]) -> None:
    inside = double(system(SLANTED, pbc, 14))
    outside = inside.copy()
    turns = np.random.default_rng(2).integers(-3, 4, (14, 3)) * np.broadcast_to(pbc, 3)
    outside.positions += turns @ SLANTED
    outside = double(outside)
    # positions up to 50 Å carry 7e-15 Å, of which forces of some eV/Å with stiff walls make 1e-12
    assert outside.get_potential_energy() == pytest.approx(inside.get_potential_energy(), rel=1e-12)
    assert force_difference(outside.get_forces(), inside.get_forces()) < 1e-11


def test_rotation() -> None:
    atoms = double(system(SLANTED, True, 14))
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    q *= np.sign(np.linalg.det(q))
    rotated = atoms.copy()
    rotated.set_cell(atoms.cell.array @ q.T, scale_atoms=False)
    rotated.positions = atoms.positions @ q.T
    rotated.calc = atoms.calc
    # rounding of 1e-15 in positions and in sums over some 60 edges of an atom
    assert rotated.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    assert force_difference(rotated.get_forces(), atoms.get_forces() @ q.T) < 1e-11
    stress = q @ atoms.get_stress(voigt=False) @ q.T
    assert np.abs(rotated.get_stress(voigt=False) - stress).max() < 1e-11 * np.abs(stress).max()


def test_periodic_box_equals_its_replica() -> None:
    """A tiny cell, whose atoms see several images of themselves, and a supercell of it are the same crystal."""
    one = double(system(TINY, True, 1))
    many = double(one.copy().repeat((3, 2, 3)))
    # sums over 18 equal atoms: rounding
    assert many.get_potential_energy() == pytest.approx(18 * one.get_potential_energy(), rel=1e-12)
    np.testing.assert_allclose(many.get_stress(), one.get_stress(), rtol=0, atol=1e-11 * np.abs(one.get_stress()).max())


def test_atom_without_edges() -> None:
    atoms = double(Atoms("OH", [[0, 0, 0], [50.0, 0, 0]]))
    assert (atoms.get_forces() == 0.0).all()
    lone = double(Atoms("O"))
    assert lone.get_potential_energy() == pytest.approx(atoms.get_potential_energies()[0], rel=1e-14)
    boxed = double(Atoms("O", cell=20 * np.eye(3), pbc=True))
    assert (boxed.get_stress() == 0.0).all() and (boxed.get_forces() == 0.0).all()


def test_single_precision_is_near_double() -> None:
    atoms = system(SLANTED, True, 14)
    single = atoms.copy()
    single.calc = MLFFCalculator(STUDENT)
    # single precision: 6e-8 a value, some 60 neighbors times 16 channels are summed: 1e-5, with a margin of ten
    difference = force_difference(single.get_forces(), double(atoms).get_forces())
    assert 0.0 < difference < 1e-4
    assert single.get_forces().dtype == np.float64


def test_results_follow_the_atoms() -> None:
    """ASE keeps results until something changes; a move, a new cell and new elements are changes."""
    atoms = double(system(CUBIC, True, 6))
    seen = [atoms.get_potential_energy()]
    atoms.positions[0] += 0.1
    seen.append(atoms.get_potential_energy())
    atoms.set_cell(1.02 * CUBIC, scale_atoms=True)
    seen.append(atoms.get_potential_energy())
    atoms.symbols[0] = "O"
    seen.append(atoms.get_potential_energy())
    assert len(set(seen)) == 4
    assert seen[-1] == double(atoms).get_potential_energy()


def test_sentences_for_wrong_input() -> None:
    with pytest.raises(
        ValueError, match="expected atoms of the elements H O, found C N. Use a student that was trained"
    ):
        double(Atoms("OCNH", np.arange(12.0).reshape(4, 3))).get_potential_energy()
    with pytest.raises(ValueError, match="expected fp32 or fp64, found 'fp16'"):
        MLFFCalculator(STUDENT, precision="fp16")
    with pytest.raises(ValueError, match="expected auto, matscipy, torch_cluster, brute, found 'x'"):
        MLFFCalculator(STUDENT, neighbors="x")
    slab = double(system(CUBIC, (True, True, False), 4))
    assert np.isfinite(slab.get_forces()).all()
    with pytest.raises(PropertyNotImplementedError, match=r"periodic in three directions, found pbc = \[True, True, F"):
        slab.get_stress()


def test_exported_from_the_package() -> None:
    assert mlff.MLFFCalculator is MLFFCalculator
