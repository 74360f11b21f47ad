"""What a user of `pair_style mlff` sees: results in every unit style, the log, and a sentence for every mistake."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps, Run, force_difference, scattered_points, vectors, write_data

STUDENT = Path(__file__).parent.parent / "reference" / "painn-tiny-v1.pt"  # H O, cutoff 5 Å
CELL = np.array([[9.0, 0, 0], [1.0, 9.2, 0], [-0.7, 0.8, 9.4]])
MASSES = [1.008, 15.999]

# LAMMPS units of one eV and one Å: its own definitions of the styles, written here a second time on purpose
ENERGY = {"metal": 1.0, "real": 23.060549, "electron": 1 / 27.211386245988, "si": 1.602176634e-19}
LENGTH = {"metal": 1.0, "real": 1.0, "electron": 1 / 0.529177210903, "si": 1e-10}
BAR = {"metal": 1.0, "real": 1.01325, "electron": 1e-5, "si": 1e-5}  # bar per pressure unit


def system(seed: int = 3, count: int = 48) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = scattered_points(rng, count, np.zeros(3), np.array([8.0, 8.2, 8.4]), 1.4)
    return rng.integers(1, 3, count), x


@dataclass(frozen=True)
class Case:
    units: str = "metal"
    style: str = "precision fp64 check off"
    extra: str = ""
    steps: int = 0
    strain: tuple[int, int, float] | None = None  # x_b += strain * x_a of a, b

    def script(self, folder: Path) -> str:
        """Writes the data file into `folder`."""
        types, x = system()
        scale = LENGTH[self.units]
        mass = {"metal": 1.0, "real": 1.0, "electron": 1.0, "si": 1.66053906660e-27}[self.units]
        deform = scale * np.eye(3)
        if self.strain:
            a, b, value = self.strain
            deform[a, b] += value
        write_data(folder / "data.test", CELL @ deform, types, x @ deform, [m * mass for m in MASSES])
        return f"""
        units {self.units}
        read_data data.test
        pair_style mlff {self.style}
        pair_coeff * * {STUDENT} H O
        neighbor {1.0 * scale} bin
        {self.extra}
        thermo_style custom step pe press pxx pyy pzz pxy pxz pyz
        thermo_modify format float %.16g
        dump 1 all custom 1 dump.txt id fx fy fz
        dump_modify 1 format float %.16g
        run {self.steps}
        """


JIT_MODES = ["off", "script", "freeze"]
AGAIN = f"""
run 1
pair_style mlff precision fp64
pair_coeff * * {STUDENT} H O
"""
PER_ATOM = """
compute each all pe/atom
compute sum all reduce sum c_each
variable difference equal c_sum-pe
fix out all ave/time 1 1 1 v_difference file difference.txt
"""
# lower triangular strains keep LAMMPS's form of the cell
STRAINS = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "xy": (1, 0), "xz": (2, 0), "yz": (2, 1)}
STRAIN = 1e-5

CASES = {
    "metal": Case(),
    **{units: Case(units) for units in ("real", "electron", "si")},
    **{f"fp64-{jit}": Case(style=f"precision fp64 jit {jit} check off") for jit in JIT_MODES},
    **{f"fp32-{jit}": Case(style=f"engine torch precision fp32 jit {jit} check off") for jit in JIT_MODES},
    "again": Case(style="jit off", extra=AGAIN),
    "per-atom": Case(extra=PER_ATOM),
    **{
        f"{name}{sign}": Case(style="precision fp64 jit off check off", strain=(*strain, sign * STRAIN))
        for name, strain in STRAINS.items()
        for sign in (1, -1)
    },
    "log": Case(style="precision fp32 jit script", steps=3),
    "no-timers": Case(style="jit off", extra="timer loop"),  # the last: this outlives `clear`
}


@pytest.fixture(scope="module")
def runs(lammps: Lammps, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("cases")
    found = lammps.run_each(folder, {name: case.script(folder / name) for name, case in CASES.items()})
    found["per-atom"].log += (folder / "per-atom" / "difference.txt").read_text()
    return found


@pytest.fixture
def metal(runs: dict[str, Run]) -> Run:
    return runs["metal"]


@pytest.mark.parametrize("units", ["real", "electron", "si"])
def test_unit_styles_agree(runs: dict[str, Run], metal: Run, units: str) -> None:
    other = runs[units]
    force = ENERGY[units] / LENGTH[units]
    assert other.thermo["PotEng"][0] / ENERGY[units] == pytest.approx(metal.thermo["PotEng"][0], rel=1e-9)
    # positions are scaled and scaled back: rounding, amplified by cancellation in differences of positions
    assert force_difference(vectors(other.dump[0], "f") / force, vectors(metal.dump[0], "f")) < 1e-9
    # LAMMPS's own conversions of pressure have six to eight digits
    assert other.thermo["Press"][0] * BAR[units] == pytest.approx(metal.thermo["Press"][0], rel=1e-5)


@pytest.mark.parametrize("jit", JIT_MODES)
def test_jit_modes_and_precisions_agree(runs: dict[str, Run], metal: Run, jit: str) -> None:
    double, single = runs[f"fp64-{jit}"], runs[f"fp32-{jit}"]
    assert f"precision fp64, jit {jit}" in double.log and f"precision fp32, jit {jit}" in single.log
    assert force_difference(vectors(double.dump[0], "f"), vectors(metal.dump[0], "f")) < 1e-12
    # single precision: 6e-8 a value, some 50 neighbors times 16 channels are summed
    assert force_difference(vectors(single.dump[0], "f"), vectors(metal.dump[0], "f")) < 1e-4
    assert single.thermo["PotEng"][0] == pytest.approx(metal.thermo["PotEng"][0], rel=1e-5)


@pytest.mark.parametrize("name", STRAINS)
def test_virial_is_the_derivative_of_the_energy(runs: dict[str, Run], metal: Run, name: str) -> None:
    """Pressure from the style against finite differences of the energy of strained boxes."""
    bar = 1.602176634e6  # bar per eV/Å^3
    energy = [runs[f"{name}{sign}"].thermo["PotEng"][0] for sign in (1, -1)]
    numeric = -(energy[0] - energy[1]) / (2 * STRAIN * np.linalg.det(CELL)) * bar
    # central difference: error eps^2 relative, and energies of some 100 eV lose 1e-14/1e-5 relative
    assert metal.thermo[f"P{name}"][0] == pytest.approx(numeric, rel=1e-5, abs=1.0)


def test_several_runs_and_repeated_commands(runs: dict[str, Run], metal: Run) -> None:
    assert runs["again"].log.count("Loop time") == 2
    assert runs["again"].thermo["PotEng"][0] == pytest.approx(metal.thermo["PotEng"][0], rel=1e-12)


def test_per_atom_energies_sum_to_the_energy(runs: dict[str, Run]) -> None:
    assert abs(float(runs["per-atom"].log.split()[-1])) < 1e-10


# ---------------------------------------------------------------------------------------------- the log


def test_log_has_an_opening_and_a_closing_block(lammps: Lammps, runs: dict[str, Run]) -> None:
    log = runs["log"].log
    assert re.search(r"pair mlff:\n  student +\S+.*painn-tiny-v1.pt", log)
    assert re.search(r"network +PaiNN, 16 channels, 2 interactions, 8 radial functions, 6929 parameters, cutoff 5", log)
    assert re.search(r"types +1 H, 2 O", log)
    assert re.search(rf"engine +LibTorch \S+, precision fp32, jit script, {lammps.device_in_log}", log)
    assert re.search(r"ghosts +images mapped to their owners", log)
    assert re.search(
        r"memory +[\d.e+]+ kB an atom besides LAMMPS's own, some [\d.e+]+ atoms fit into what is free", log
    )
    for part in ("edges", "network", "exchange", "scatter"):
        assert re.search(rf"^  {part} +[\d.e+-]+ +[\d.e+-]+ +[\d.]+$", log, re.M)
    assert re.search(r"warm-up before the first step: [\d.]+ s", log)
    rows = log[log.index("   Step") : log.index("Loop time")].splitlines()[1:]
    assert all(re.fullmatch(r"[\d .eE+-]+", row) for row in rows if row), "expected nothing between thermo rows"
    assert "pair_style mlff" in log[log.index("CITE") :] if "CITE" in log else True


def test_no_closing_block_without_timers(runs: dict[str, Run]) -> None:
    assert "time per call" in runs["log"].log and "time per call" not in runs["no-timers"].log


def test_student_is_found_through_lammps_potentials(
    lammps: Lammps, tmp_path: Path, metal: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    shutil.copy(STUDENT, shelf / "on-the-shelf.pt")
    monkeypatch.setenv("LAMMPS_POTENTIALS", str(shelf) + os.pathsep + "/nowhere")
    types, x = system()
    write_data(tmp_path / "data.test", CELL, types, x, MASSES)
    result = lammps.run(
        tmp_path,
        """
        units metal
        read_data data.test
        pair_style mlff precision fp64 check off
        pair_coeff * * on-the-shelf.pt H O
        thermo_style custom step pe
        thermo_modify format float %.16g
        run 0
        """,
    )
    assert result.thermo["PotEng"][0] == pytest.approx(metal.thermo["PotEng"][0], rel=1e-12)


# ---------------------------------------------------------------------------------------------- mistakes

MISTAKES = {
    "later keyword": ("pair_style mlff graph auto", r"keyword 'graph' is planned for a later version"),
    "later value": ("pair_style mlff engine fused", r"'engine fused' is planned .* Use auto or torch instead"),
    "no package": (
        "pair_style mlff jit aot",
        r"painn-tiny-v1.\w+-fp32.pt2: expected .* found no such file. Compile it with 'mlff export \S+ --aot",
    ),
    "unknown keyword": (
        "pair_style mlff model x.pt",
        r"expected a keyword \(engine, precision, jit, ghosts, chunk or check\), found 'model'",
    ),
    "no file": ("pair_coeff * * nowhere.pt H O", r"expected a student's file, found no file 'nowhere.pt'"),
    "not a student": ("pair_coeff * * data.test H O", r"data.test: expected .*found"),
    "unknown element": (f"pair_coeff * * {STUDENT} H Xe", r"Xe"),
    "too few elements": (f"pair_coeff * * {STUDENT} H", r"expected '\* \* FILE' and one element .* 2 atom types"),
    "no pair_coeff": ("pair_style mlff", r"All pair coeffs are not set"),  # LAMMPS's own
    "units": ("units lj", r"expected units metal, real, electron or si, found units lj"),
    "group": ("neigh_modify include some", r"found 'neigh_modify include'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_gets_a_sentence_and_all_ranks_stop(lammps: Lammps, tmp_path: Path, mistake: str) -> None:
    command, message = MISTAKES[mistake]
    lines = {
        "units": "units metal",
        "read_data": "read_data data.test",
        "pair_style": "pair_style mlff",
        "pair_coeff": f"pair_coeff * * {STUDENT} H O",
    }
    if mistake == "no pair_coeff":
        del lines["pair_coeff"]
    lines[command.split()[0]] = command
    if mistake == "group":
        lines["read_data"] += "\ngroup some id 1:4\natom_modify first some"
    types, x = system()
    write_data(tmp_path / "data.test", CELL, types, x, MASSES)
    result = lammps.run(tmp_path, "\n".join(lines.values()) + "\nfix 1 all nve\nrun 1\n", 2, fails=True)
    text = " ".join(result.log.split())
    assert re.search(message, text), text[-1500:]
    assert "ERROR" in text


def test_special_bonds_that_remove_neighbors_are_refused(lammps: Lammps, tmp_path: Path) -> None:
    script = f"""
    units metal
    atom_style bond
    region box block 0 12 0 12 0 12
    create_box 2 box bond/types 1 extra/bond/per/atom 2 extra/special/per/atom 4
    mass 1 1.0
    mass 2 16.0
    create_atoms 1 single 5 5 5
    create_atoms 2 single 6 5 5
    bond_style zero
    bond_coeff * 1.0
    create_bonds single/bond 1 1 2
    special_bonds lj/coul {{weight}} {{weight}} {{weight}}
    pair_style mlff precision fp64 check off
    pair_coeff * * {STUDENT} H O
    thermo_style custom step pe
    run 0
    """
    refused = lammps.run(tmp_path, script.format(weight=0), fails=True)
    assert "special_bonds' that remove 1-2 neighbors" in " ".join(refused.log.split())
    without_bonds = script.format(weight=0).replace("create_bonds single/bond 1 1 2", "")
    found = lammps.run_each(tmp_path, {"kept": script.format(weight=1), "without": without_bonds})
    energy = {name: run.thermo["PotEng"][0] for name, run in found.items()}
    assert energy["kept"] == pytest.approx(energy["without"], rel=1e-12)
