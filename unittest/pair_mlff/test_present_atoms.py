"""Which atoms the student sees: not those of type NULL, not those deleted, and those created between runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps, Run, force_difference, scattered_points, vectors, write_data

STUDENT = Path(__file__).parent.parent / "reference" / "painn-t3-v1.pt"  # H C O, cutoff 4 Å, T = 3
BOX = np.array([17.0, 9.0, 9.2])
MASSES = [1.008, 12.011, 15.999, 39.948]
ARGON = 4
# Other atoms take other places in sums: rounding (1e-16) times the conditioning of a disordered system
TOLERANCE = 1e-11

HYBRID = f"""
pair_style      hybrid/overlay mlff precision fp64 lj/cut 5.0
pair_coeff      * * mlff {STUDENT} H C O NULL
pair_coeff      1*3 4 lj/cut 0.0 3.0
pair_coeff      4 4 lj/cut 0.0 3.0
"""
ALONE = f"""
pair_style      mlff precision fp64
pair_coeff      * * {STUDENT} H C O H
"""


def atoms(count: int = 70) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = scattered_points(rng, count, np.zeros(3), BOX - 0.7, 1.5)
    return rng.integers(1, 4, count), x


def run(
    lammps: Lammps,
    folder: Path,
    kinds: np.ndarray,
    x: np.ndarray,
    pair: str,
    ranks: int = 1,
    between: str = "",
    steps: int = 0,
) -> Run:
    """Energies and forces of a first run, then `between`, and a second run, which the result holds."""
    write_data(folder / "data.test", np.diag(BOX), kinds, x, MASSES)
    script = f"""
    units           metal
    atom_modify     map yes
    processors      * 1 1
    read_data       data.test
    {pair}
    neighbor        0.5 bin
    thermo_style    custom step atoms pe press
    thermo_modify   format float %.16g
    run             {steps}
    {between}
    dump            1 all custom 1 dump.txt id type x y z fx fy fz
    dump_modify     1 format float %.16g
    run             0
    """
    return lammps.run(folder, script, ranks)


def expect_equal(found: Run, expected: Run) -> None:
    (a,), (b,) = found.dump.values(), expected.dump.values()
    # by place, for IDs may differ
    order = [np.lexsort(np.round(vectors(frame, ""), 6).T) for frame in (a, b)]
    assert np.abs(vectors(a, "")[order[0]] - vectors(b, "")[order[1]]).max() < 1e-5
    assert force_difference(vectors(a, "f")[order[0]], vectors(b, "f")[order[1]]) < TOLERANCE
    for column in ("PotEng", "Press"):
        assert found.thermo[column][-1] == pytest.approx(expected.thermo[column][-1], rel=TOLERANCE)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_null_types_are_not_seen(lammps: Lammps, tmp_path: Path, ranks: int) -> None:
    """Beside argon of zero well depth, among the others in LAMMPS's arrays, forces are those without it."""
    kinds, x = atoms()
    mixed = kinds.copy()
    mixed[::3] = ARGON
    seen = mixed != ARGON
    found = run(lammps, tmp_path / "mixed", mixed, x, HYBRID, ranks)
    expected = run(lammps, tmp_path / "alone", kinds[seen], x[seen], ALONE)
    (frame,) = found.dump.values()
    present = frame["type"] != ARGON
    assert present.sum() == seen.sum()
    assert np.all(vectors(frame, "f")[~present] == 0.0)
    found.dump[0] = {name: values[present] for name, values in frame.items()}
    expect_equal(found, expected)


@pytest.mark.parametrize("ranks", [1, 2])
def test_all_types_null_is_zero(lammps: Lammps, tmp_path: Path, ranks: int) -> None:
    """No node on any rank."""
    kinds, x = atoms(20)
    only_argon = run(lammps, tmp_path, np.full_like(kinds, ARGON), x, HYBRID, ranks)
    assert only_argon.thermo["PotEng"][-1] == 0.0
    (frame,) = only_argon.dump.values()
    assert np.all(vectors(frame, "f") == 0.0)


@pytest.mark.parametrize("ranks", [1, 3])
def test_deleted_and_created_atoms(lammps: Lammps, tmp_path: Path, ranks: int) -> None:
    kinds, x = atoms()
    gone = np.arange(len(kinds)) % 5 == 0
    ids = " ".join(str(i + 1) for i in np.flatnonzero(gone))
    deletion = f"group gone id {ids}\ndelete_atoms group gone compress no"
    left = run(lammps, tmp_path / "left", kinds[~gone], x[~gone], ALONE)
    expect_equal(run(lammps, tmp_path / "deleted", kinds, x, ALONE, ranks, deletion), left)

    creation = "\n".join(
        f"create_atoms {kind} single {float(p[0])!r} {float(p[1])!r} {float(p[2])!r}"
        for kind, p in zip(kinds[gone], x[gone], strict=True)
    )
    whole = run(lammps, tmp_path / "whole", kinds, x, ALONE)
    expect_equal(run(lammps, tmp_path / "created", kinds[~gone], x[~gone], ALONE, ranks, creation), whole)


@pytest.mark.parametrize("ranks", [1, 2])
def test_types_that_change_between_runs(lammps: Lammps, tmp_path: Path, ranks: int) -> None:
    kinds, x = atoms()
    changed = kinds.copy()
    changed[:10] = 2
    expected = run(lammps, tmp_path / "expected", changed, x, ALONE)
    between = "set atom 1*10 type 2"
    expect_equal(run(lammps, tmp_path / "changed", kinds, x, ALONE, ranks, between), expected)


def test_energy_alone_has_no_backward_pass(lammps: Lammps, tmp_path: Path) -> None:
    """fix atom/swap asks for energies alone: rows travel forward T - 1 times, and no gradients or forces come back."""
    kinds, x = atoms(40)
    swap = "fix 1 all atom/swap 1 20 4711 300.0 types 1 2 ke no"
    log = run(lammps, tmp_path, kinds, x, ALONE, 2, f"{swap}\nrun 3").log
    exchanges = re.findall(r"exchanges per call: ([\d.]+) forward, ([\d.]+) reverse", log)
    before, swapping, _ = [(float(forward), float(reverse)) for forward, reverse in exchanges]
    assert before == (2, 3)
    assert swapping[0] == 2
    assert swapping[1] < 1
