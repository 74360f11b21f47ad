"""Which atoms the student sees: not those of type NULL, not those deleted, and those created between runs."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
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
pair_style      hybrid/overlay mlff precision fp64 check off lj/cut 5.0
pair_coeff      * * mlff {STUDENT} H C O NULL
pair_coeff      1*3 4 lj/cut 0.0 3.0
pair_coeff      4 4 lj/cut 0.0 3.0
"""
ALONE = f"""
pair_style      mlff precision fp64 check off
pair_coeff      * * {STUDENT} H C O H
"""


def atoms(count: int = 70) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = scattered_points(rng, count, np.zeros(3), BOX - 0.7, 1.5)
    return rng.integers(1, 4, count), x


@dataclass(frozen=True)
class Case:
    """Energies and forces of a first run, then `between`, and a second run, which the result holds."""

    kinds: np.ndarray
    x: np.ndarray
    pair: str
    ranks: tuple[int, ...] = (1,)
    between: str = ""

    def script(self, folder: Path) -> str:
        """Writes the data file into `folder`."""
        write_data(folder / "data.test", np.diag(BOX), self.kinds, self.x, MASSES)
        return f"""
        units           metal
        atom_modify     map yes
        processors      * 1 1
        read_data       data.test
        {self.pair}
        neighbor        0.5 bin
        thermo_style    custom step atoms pe press
        thermo_modify   format float %.16g
        run             0
        {self.between}
        dump            1 all custom 1 dump.txt id type x y z fx fy fz
        dump_modify     1 format float %.16g
        run             0
        """


def build_cases() -> dict[str, Case]:
    kinds, x = atoms()
    argon = np.where(np.arange(len(kinds)) % 3 == 0, ARGON, kinds)
    gone = np.arange(len(kinds)) % 5 == 0
    ids = " ".join(str(i + 1) for i in np.flatnonzero(gone))
    creation = "\n".join(
        f"create_atoms {kind} single {float(p[0])!r} {float(p[1])!r} {float(p[2])!r}"
        for kind, p in zip(kinds[gone], x[gone], strict=True)
    )
    changed = np.where(np.arange(len(kinds)) < 10, 2, kinds)
    few, few_x = atoms(40)
    return {
        "whole": Case(kinds, x, ALONE),
        "mixed": Case(argon, x, HYBRID, (1, 2, 4)),
        "without argon": Case(kinds[argon != ARGON], x[argon != ARGON], ALONE),
        "only argon": Case(np.full(20, ARGON), x[:20], HYBRID, (1, 2)),
        "deleted": Case(kinds, x, ALONE, (1, 4), f"group gone id {ids}\ndelete_atoms group gone compress no"),
        "left": Case(kinds[~gone], x[~gone], ALONE),
        "created": Case(kinds[~gone], x[~gone], ALONE, (1, 4), creation),
        "types set": Case(kinds, x, ALONE, (1, 2), "set atom 1*10 type 2"),
        "types given": Case(changed, x, ALONE),
        "swap": Case(few, few_x, ALONE, (2,), "fix 1 all atom/swap 1 20 4711 300.0 types 1 2 ke no\nrun 3"),
    }


CASES = build_cases()


@pytest.fixture(scope="module")
def run(lammps: Lammps, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """The run of a case; all on as many ranks are in one process."""

    @functools.cache
    def run_together(ranks: int) -> dict[str, Run]:
        folder = tmp_path_factory.mktemp(f"ranks{ranks}")
        names = [name for name, case in CASES.items() if ranks in case.ranks]
        scripts = {name.replace(" ", "-"): CASES[name].script(folder / name.replace(" ", "-")) for name in names}
        return dict(zip(names, lammps.run_each(folder, scripts, ranks).values(), strict=True))

    return lambda name, ranks=1: run_together(ranks)[name]


def expect_equal(found: Run, expected: Run) -> None:
    (a,), (b,) = found.dump.values(), expected.dump.values()
    # by place, for IDs may differ
    order = [np.lexsort(np.round(vectors(frame, ""), 6).T) for frame in (a, b)]
    assert np.abs(vectors(a, "")[order[0]] - vectors(b, "")[order[1]]).max() < 1e-5
    assert force_difference(vectors(a, "f")[order[0]], vectors(b, "f")[order[1]]) < TOLERANCE
    for column in ("PotEng", "Press"):
        assert found.thermo[column][-1] == pytest.approx(expected.thermo[column][-1], rel=TOLERANCE)


@pytest.mark.parametrize("ranks", CASES["mixed"].ranks)
def test_null_types_are_not_seen(run: Callable[..., Run], ranks: int) -> None:
    """Beside argon of zero well depth, among the others in LAMMPS's arrays, forces are those without it."""
    found = run("mixed", ranks)
    (frame,) = found.dump.values()
    present = frame["type"] != ARGON
    assert present.sum() == len(CASES["without argon"].x)
    assert np.all(vectors(frame, "f")[~present] == 0.0)
    seen = replace(found, dump={0: {name: values[present] for name, values in frame.items()}})
    expect_equal(seen, run("without argon"))


@pytest.mark.parametrize("ranks", CASES["only argon"].ranks)
def test_all_types_null_is_zero(run: Callable[..., Run], ranks: int) -> None:
    """No node on any rank."""
    only_argon = run("only argon", ranks)
    assert only_argon.thermo["PotEng"][-1] == 0.0
    (frame,) = only_argon.dump.values()
    assert len(frame["id"]) == 20 and np.all(vectors(frame, "f") == 0.0)


@pytest.mark.parametrize("ranks", CASES["deleted"].ranks)
def test_deleted_and_created_atoms(run: Callable[..., Run], ranks: int) -> None:
    expect_equal(run("deleted", ranks), run("left"))
    expect_equal(run("created", ranks), run("whole"))


@pytest.mark.parametrize("ranks", CASES["types set"].ranks)
def test_types_that_change_between_runs(run: Callable[..., Run], ranks: int) -> None:
    expect_equal(run("types set", ranks), run("types given"))


def test_energy_alone_has_no_backward_pass(run: Callable[..., Run]) -> None:
    """fix atom/swap asks for energies alone: rows travel forward T - 1 times, and no gradients or forces come back."""
    exchanges = re.findall(r"exchanges per call: ([\d.]+) forward, ([\d.]+) reverse", run("swap", 2).log)
    before, swapping, _ = [(float(forward), float(reverse)) for forward, reverse in exchanges]
    assert before == (2, 3)
    assert swapping[0] == 2
    assert swapping[1] < 1
