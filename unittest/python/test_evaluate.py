"""`mlff.evaluate` in batches: equal to the calculator, frame by frame."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mlff
import numpy as np
import pytest
from ase import Atoms
from mlff.calculator import MLFFCalculator

STUDENT = Path(__file__).parent.parent / "reference" / "painn-tiny-v1.pt"  # H O, cutoff 5 Å


def frames() -> list[Atoms]:
    """Frames of all kinds and sizes: periodic, slab, cluster, an atom alone, and no atom at all."""
    rng = np.random.default_rng(4)
    grid = np.array([[i, j, k] for i in range(3) for j in range(3) for k in range(2)])
    result = []
    for count, pbc in ((18, True), (5, False), (1, False), (12, (True, True, False)), (0, False), (7, True), (1, True)):
        cell = 1.9 * np.diag([3.0, 3.0, 2.0]) + rng.normal(0.0, 0.1, (3, 3))
        x = (grid[:count] / [3, 3, 2]) @ cell + rng.normal(0.0, 0.15, (count, 3))
        result.append(Atoms("OHH" * 6, grid)[:count])
        result[-1].set_cell(cell)
        result[-1].positions = x
        result[-1].pbc = pbc
    return result


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_batches_equal_one_by_one(batch_size: int) -> None:
    result = mlff.evaluate(frames(), STUDENT, batch_size=batch_size, precision="fp64")
    calculator = MLFFCalculator(STUDENT, precision="fp64")
    for i, atoms in enumerate(frames()):
        if len(atoms) == 0:
            assert result.energies[i] == 0.0 and result.forces[i].shape == (0, 3) and not result.virials[i].any()
            continue
        atoms.calc = calculator
        # another batch is another blocking of the same sums: rounding
        assert result.energies[i] == pytest.approx(atoms.get_potential_energy(), rel=1e-12, abs=1e-12)
        np.testing.assert_allclose(result.atom_energies[i], atoms.get_potential_energies(), rtol=0, atol=1e-12)
        scale = max(1.0, np.abs(atoms.get_forces()).max())
        np.testing.assert_allclose(result.forces[i], atoms.get_forces(), rtol=0, atol=1e-12 * scale)
        if atoms.pbc.all():
            stress = atoms.get_stress()
            np.testing.assert_allclose(result.stresses[i], stress, rtol=0, atol=1e-12 * max(1.0, np.abs(stress).max()))
        else:
            assert np.isnan(result.stresses[i]).all()


def test_virial_of_a_cluster_is_that_of_its_forces() -> None:
    """Without periodicity the virial is the sum of r_a F_b over atoms, whatever edges it was collected from."""
    result = mlff.evaluate(frames(), STUDENT, precision="fp64")
    atoms, forces = frames()[1], result.forces[1]
    expected = [
        (atoms.positions[:, a] * forces[:, b]).sum() for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    ]
    np.testing.assert_allclose(result.virials[1], expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_stress_is_minus_virial_by_volume() -> None:
    result, atoms = mlff.evaluate(frames(), STUDENT, precision="fp64"), frames()[0]
    xx, yy, zz, xy, xz, yz = -result.virials[0] / atoms.get_volume()
    np.testing.assert_allclose(result.stresses[0], [xx, yy, zz, yz, xz, xy], rtol=1e-14)


def test_no_frames() -> None:
    result = mlff.evaluate([], STUDENT)
    assert result.energies.shape == (0,) and result.stresses.shape == (0, 6) and result.forces == []


def test_batch_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="batch_size: expected 1 or more, found 0"):
        mlff.evaluate(frames(), STUDENT, batch_size=0)


def test_package_imports_nothing_heavy() -> None:
    code = "import sys, mlff; print([m for m in ('torch', 'ase', 'numpy') if m in sys.modules])"
    package = str(Path(mlff.__file__).parent.parent)
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {package!r}); {code}"], capture_output=True, text=True
    )
    assert result.stdout.strip() == "[]", result.stderr
