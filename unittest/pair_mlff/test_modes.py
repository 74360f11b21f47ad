"""Ways of evaluating a student that must not change its forces: slices, compiled students; the check of each mode."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps, Run, force_difference, scattered_points, vectors, write_data

REFERENCE = Path(__file__).parent.parent / "reference"
NAME = "painn-t3-v1"  # H C O, cutoff 4 Å, T = 3
NUM_ATOMS = 80
BOX = np.array([13.0, 8.8, 9.1])


@dataclass(frozen=True)
class Case:
    keywords: str
    ranks: int = 1
    steps: int = 20
    style: str = "mlff"

    def script(self, folder: Path, student: Path = REFERENCE / f"{NAME}.pt") -> str:
        """Writes the data file into `folder`."""
        rng = np.random.default_rng(11)
        x = scattered_points(rng, NUM_ATOMS, np.zeros(3), BOX - 0.7, 1.55)
        write_data(folder / "data.test", np.diag(BOX), rng.integers(1, 4, NUM_ATOMS), x, [1.008, 12.011, 15.999])
        return f"""
        units           metal
        processors      * 1 1
        read_data       data.test
        pair_style      {self.style} {self.keywords}
        pair_coeff      * * {student} H C O
        neighbor        0.3 bin
        neigh_modify    every 1 delay 0 check yes
        velocity        all create 1500 4711 loop geom
        fix             1 all nve
        timestep        0.0005
        thermo_style    custom step pe press
        thermo_modify   format float %.16g
        dump            1 all custom {max(self.steps, 1)} dump.txt id type x y z fx fy fz
        dump_modify     1 format float %.16g
        run             {self.steps}
        """


def slices(chunk: int, ranks: int = 1) -> Case:
    return Case(f"precision fp64 chunk {chunk} check off", ranks)


# With no check but where it is what is looked at: it takes another engine.
EXACT = Case("precision fp64 jit off check off")
PROGRAM = [
    EXACT,
    *(slices(chunk, ranks) for chunk, ranks in ((7, 1), (40, 1), (7, 3))),
    Case(f"chunk {NUM_ATOMS} check off", steps=0),
    *(Case(f"precision {precision}", ranks, 0) for precision in ("fp64", "fp32", "bf16", "fp16") for ranks in (1, 3)),
    Case("check off", steps=0),
    Case("check 5", steps=10),
]
COMPILED = [
    *(Case("precision fp64 jit aot check off", ranks) for ranks in (1, 2, 4)),
    Case("precision fp16 jit aot check off", steps=0),
]


@pytest.fixture(scope="module")
def run(lammps: Lammps, config: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Run]:
    """The run of a case; those of a table on as many ranks are in one process."""

    @functools.cache
    def run_together(is_compiled: bool, ranks: int) -> dict[Case, Run]:
        folder = tmp_path_factory.mktemp("modes")
        student = {"student": compiled_student(config)} if is_compiled else {}
        cases = [case for case in (COMPILED if is_compiled else PROGRAM) if case.ranks == ranks]
        scripts = {str(k): case.script(folder / str(k), **student) for k, case in enumerate(cases)}
        return dict(zip(cases, lammps.run_each(folder, scripts, ranks).values(), strict=True))

    return lambda case: run_together(case in COMPILED, case.ranks)[case]


@pytest.fixture
def exact(run: Callable[[Case], Run]) -> Run:
    return run(EXACT)


def expect_equal(found: Run, expected: Run, tolerance: float) -> None:
    assert found.dump.keys() == expected.dump.keys()
    for step in expected.dump:
        assert force_difference(vectors(found.dump[step], "f"), vectors(expected.dump[step], "f")) < tolerance
    for column in ("PotEng", "Press"):
        assert found.thermo[column] == pytest.approx(expected.thermo[column], rel=tolerance)


# ---------------------------------------------------------------------------------------------- chunk


@pytest.mark.parametrize(("chunk", "ranks"), [(7, 1), (40, 1), (7, 3)])
def test_slices_change_nothing(run: Callable[[Case], Run], exact: Run, chunk: int, ranks: int) -> None:
    """1e-12 at the first step; rounding then grows along the trajectory, as for ranks (test_ranks.py)."""
    sliced = run(slices(chunk, ranks))
    assert force_difference(vectors(sliced.dump[0], "f"), vectors(exact.dump[0], "f")) < 1e-12
    expect_equal(sliced, exact, 1e-10)
    assert re.search(rf"^  chunk +slices of at most {chunk} atoms$", sliced.log, re.M)
    assert re.search(r"memory +[\d.]+ kB an atom besides LAMMPS's own and what a slice takes", sliced.log)


def test_no_slices_where_all_atoms_fit(run: Callable[[Case], Run]) -> None:
    assert "slices of at most" not in run(Case(f"chunk {NUM_ATOMS} check off", steps=0)).log


# ---------------------------------------------------------------------------------------------- jit aot


def compiled_student(config: dict[str, str]) -> Path:
    return Path(config["aot_dir"]) / f"{NAME}.pt"


@pytest.fixture(scope="session")
def compiled(config: dict[str, str]) -> Path:
    """A student beside its packages, fp64 and fp16 among them."""
    return compiled_student(config)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_compiled_student_equals_the_program(
    lammps: Lammps, run: Callable[[Case], Run], exact: Run, ranks: int
) -> None:
    aot = run(Case("precision fp64 jit aot check off", ranks))
    expect_equal(aot, exact, 1e-10)
    assert re.search(rf"engine +LibTorch \S+, precision fp64, jit aot, {lammps.device_in_log}", aot.log)
    assert aot.number(r"ghost atom cutoff = ([\d.]+)") == pytest.approx(4.3 if ranks == 1 else 12.3)
    if ranks > 1:
        assert "wide halo of 12.3" in aot.log


@pytest.mark.usefixtures("compiled")
def test_compiled_student_in_another_precision(run: Callable[[Case], Run], exact: Run) -> None:
    aot = run(Case("precision fp16 jit aot check off", steps=0))
    assert 1e-4 < force_difference(vectors(aot.dump[0], "f"), vectors(exact.dump[0], "f")) < 5e-2  # as for the check


def test_package_of_another_student_is_refused_on_all_ranks(lammps: Lammps, tmp_path: Path, compiled: Path) -> None:
    import torch
    from mlff.model_file import save_model
    from mlff.painn import PaiNN

    torch.manual_seed(1)
    other = tmp_path / f"{NAME}.pt"
    save_model(PaiNN(["H", "C", "O"], [1, 6, 8], 8, 3, 6, 4.0, [0.0] * 3, [0.31, 0.76, 0.66]), other, "other")
    shutil.copy(compiled.with_name(f"{NAME}.{lammps.device}-fp16.pt2"), tmp_path)
    script = Case("precision fp16 jit aot").script(tmp_path, other)
    stopped = lammps.run(tmp_path, script, 2, fails=True)
    assert re.search(r"ERROR: \S+\.pt2: expected the student with the checksum \w+, found one with", stopped.log)
    assert "ERROR on proc" not in stopped.log, "all ranks stop together"


# ---------------------------------------------------------------------------------------------- every mode

# Largest error in units of SIZE: in fp32 as tolerance() in unittest/models/engine_tests.h; in 16 bits some hundred
# roundings (2^-11, which tf32 has as well, and 2^-9) add up in this student of random weights with a gain above one.
TOLERANCE = {"fp64": 1e-10, "fp32": 1e-4, "tf32": 100 * 2**-11, "bf16": 100 * 2**-9, "fp16": 100 * 2**-11}
SIZE = np.array([4.0, 15.0, 15.0])  # eV, eV/Å: energy and forces of three atoms

# Atoms by type and place, in a box of 20 Å. A pair across the middle has one edge on each of two ranks.
SMALL_SYSTEMS = {
    "none": [],
    "one": [(3, 9.0, 9.0, 9.0)],
    "apart": [(3, 2.0, 9.0, 9.0), (1, 16.0, 9.0, 9.0)],
    "pair": [(3, 9.5, 9.0, 9.0), (2, 10.7, 9.1, 9.0)],
    "three": [(3, 9.5, 9.0, 9.0), (2, 10.7, 9.1, 9.0), (1, 9.1, 9.9, 9.0)],
}


def modes(lammps: Lammps, student: Path) -> list[tuple[str, str]]:
    precisions = ["fp64", "fp32", "bf16", "fp16"] + (["tf32"] if lammps.device == "cuda" else [])
    program = [(precision, jit) for precision in precisions for jit in ("off", "script", "freeze")]
    packages = student.parent.glob(f"{student.stem}.{lammps.device}-*.pt2")
    return program + [(path.stem.rpartition("-")[2], "aot") for path in sorted(packages)]


@pytest.mark.parametrize("ranks", [1, 2])
def test_small_graphs_in_every_mode(lammps: Lammps, tmp_path: Path, compiled: Path, ranks: int) -> None:
    """No edge, one edge (a pair on two ranks), two and more; no atom, one and more: equal to fp64 without optimizer.

    An engine sees all of them one after the other, and each of them is the first, with the warm-up, in some modes.
    """
    script = ""
    all_modes = modes(lammps, compiled)
    assert {jit for _, jit in all_modes} == {"off", "script", "freeze", "aot"}
    for number, (precision, jit) in enumerate(all_modes):
        script += f"""
        clear
        units metal
        processors * 1 1
        region box block 0 20 0 20 0 20
        create_box 3 box
        mass * 1.0
        pair_style mlff precision {precision} jit {jit} check off
        pair_coeff * * {compiled} H C O
        fix 1 all nve
        compute f all reduce max fx fy fz
        thermo_style custom step pe c_f[1] c_f[2] c_f[3]
        """
        first = number % len(SMALL_SYSTEMS)
        names = list(SMALL_SYSTEMS)
        for name in names[first:] + names[:first]:
            script += "delete_atoms group all\n"
            for kind, x, y, z in SMALL_SYSTEMS[name]:
                script += f"create_atoms {kind} single {x} {y} {z}\n"
            script += f"""
            run 2
            print "RESULT {precision} {jit} {name} $(pe:%.16g) $(c_f[1]:%.16g) $(c_f[2]:%.16g)"
            """
    log = lammps.run(tmp_path, script, ranks).log
    results = {
        (precision, jit, name): np.array([float(word) for word in numbers.split()])
        for precision, jit, name, numbers in re.findall(r"^RESULT (\S+) (\S+) (\S+) (.*)$", log, re.M)
    }
    assert len(results) == len(all_modes) * len(SMALL_SYSTEMS)
    for (precision, jit, name), found in results.items():
        error = np.abs(found - results["fp64", "off", name]) / SIZE
        assert (error <= TOLERANCE[precision]).all(), (precision, jit, name, error)
    assert results["fp64", "off", "none"][0] == 0.0
    assert results["fp64", "off", "one"][1] == results["fp64", "off", "apart"][1] == 0.0
    assert results["fp64", "off", "pair"][1] != 0.0
    assert results["fp64", "off", "three"][2] > 10.0


# ---------------------------------------------------------------------------------------------- check

LINE = re.compile(r"^  check +energy (\S+) meV/atom, largest force (\S+) eV/Angstrom \((\S+) of rms\)", re.M)


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize(
    ("precision", "low", "high"),
    [("fp64", 0.0, 1e-10), ("fp32", 1e-8, 1e-4), ("bf16", 1e-3, 3e-1), ("fp16", 1e-4, 5e-2)],
)
def test_check_tells_the_difference_from_fp64(
    run: Callable[[Case], Run], exact: Run, precision: str, low: float, high: float, ranks: int
) -> None:
    found = run(Case(f"precision {precision}", ranks, 0))
    match = LINE.search(found.log)
    assert match, found.log
    # the same numbers from the two runs' forces and energies
    difference = vectors(found.dump[0], "f") - vectors(exact.dump[0], "f")
    assert float(match[2]) == pytest.approx(np.abs(difference).max(), rel=0.1, abs=1e-10)
    energy = (found.thermo["PotEng"][0] - exact.thermo["PotEng"][0]) / NUM_ATOMS
    assert float(match[1]) == pytest.approx(1e3 * energy, rel=0.1, abs=1e-8)
    assert low <= float(match[3]) <= high
    assert found.log.index("  check ") < found.log.index("Step ")


def test_check_off_and_every(run: Callable[[Case], Run]) -> None:
    assert not LINE.search(run(Case("check off", steps=0)).log)
    log = run(Case("check 5", steps=10)).log
    assert len(LINE.findall(log)) == 1
    assert re.search(r"largest difference of a force from fp64 in 3 checks: \S+ of rms", log)


@pytest.mark.parametrize("ranks", [1, 3])
def test_check_stops_wrong_forces(lammps: Lammps, tmp_path: Path, config: dict[str, str], ranks: int) -> None:
    """Forces a tenth too large: refused before the first step, on all ranks, and taken where nobody looks."""
    faulty = replace(lammps, plugin_dir=f"{config['test_plugin_dir']}/faulty", falls_back="kk" in lammps.flags)
    stopped = faulty.run(tmp_path / "seen", Case("", style="mlff/faulty").script(tmp_path / "seen"), ranks, fails=True)
    text = " ".join(stopped.log.split())
    assert re.search(r"expected forces within 0.001 \(of their rms\) of those in fp64 with 'precision fp32'", text)
    assert "Loop time" not in stopped.log
    unseen = Case("check off", style="mlff/faulty", steps=1).script(tmp_path / "unseen")
    faulty.run(tmp_path / "unseen", unseen, ranks)
