"""Every example runs as its page says and gives the lines of its log.expected; with `-sf kk`, unchanged.

Runs are shortened by `-var steps`. Each table of log.expected was written by the whole example on one thread of a CPU.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps, Run, read_tables

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"

# A sum over a network in fp32 is rounded by 6e-8 of some 10 eV an atom, and differently on other machines and threads.
SINGLE = 1e-5  # eV an atom
# The logs of runs in fp64 show eight decimals.
DOUBLE = 2e-8  # eV an atom
# Motion is chaotic, but in the 50 fs of a shortened run differences grow less than tenfold.
GROWTH = 10.0


@dataclass(frozen=True)
class Example:
    """How to run a folder's input, and what must hold beside equality with its log."""

    script: str
    steps: int
    energies: tuple[str, ...]  # columns
    rounding: float  # of the energies, eV an atom
    atoms: int
    compared: int  # rows: those that the shortened run has in common with the whole one
    holds: Callable[[Run, dict[str, np.ndarray]], None]
    ranks: int = 1
    arguments: tuple[str, ...] = ()


def is_a_liquid(run: Run, table: dict[str, np.ndarray]) -> None:
    temperature = table.get("Temp", table.get("c_temperature"))
    assert temperature is not None
    # 192 atoms at 300 K: the temperature of a box swings by 300 K sqrt(2/576) = 18 K; six times that
    assert np.all(np.abs(temperature - 300.0) < 110.0)


def conserves_energy(run: Run, table: dict[str, np.ndarray]) -> None:
    # velocity Verlet lets the energy of a vibration swing by (w dt)^2/4 of itself: 0.155 eV, at 3730/cm and 0.25 fs
    assert np.ptp(table["TotEng"]) < 0.155 * (2 * np.pi * 3730 * 2.998e10 * 0.25e-15) ** 2 / 4
    assert np.all((table["v_a"] > 0.85) & (table["v_a"] < 1.1) & (table["v_angle"] > 80) & (table["v_angle"] < 125))


def is_bound(run: Run, table: dict[str, np.ndarray]) -> None:
    assert np.all(np.diff(table["PotEng"]) <= 0.0)
    # 0.2227 at the minimum; the last hundredths take many more steps
    assert run.number(r"energy of binding: (\S+)") == pytest.approx(-0.22, abs=0.02)


def goes_down_to_the_path(run: Run, table: dict[str, np.ndarray]) -> None:
    assert np.all(np.diff(table["EBF"]) < 0.0)
    # both ends are one structure with two atoms exchanged, and the band is symmetric
    assert table["EBF"][-1] == pytest.approx(table["EBR"][-1], abs=1e-3)


def is_steam(run: Run, table: dict[str, np.ndarray]) -> None:
    molecules, interaction = table["v_molecules"], table["v_interaction"]
    assert np.all(molecules == np.round(molecules)) and np.all((molecules >= 0) & (molecules < 20))
    assert len(set(molecules)) > 1
    # a hydrogen bond has 0.09 eV, and hardly any molecule has more than two in steam; fp32 in what is zero
    assert np.all(interaction > -0.2 * molecules - 1e-4) and np.all(interaction < 0.5)
    for row in range(len(molecules)):
        alone = table["PotEng"][row] - interaction[row]
        assert alone == pytest.approx(-15.43882 * molecules[row], abs=1e-3)


def holds_water_back(run: Run, table: dict[str, np.ndarray]) -> None:
    is_a_liquid(run, table)
    parts = table["c_student"] + table["c_lj"] + table["c_zbl"]
    assert table["PotEng"] == pytest.approx(parts, abs=1e-3)
    assert np.all(table["c_lj"] < 0.0) and np.all(table["c_zbl"] >= 0.0)
    assert table["c_zbl"][2] > 0.0  # the first hydrogen atom that touches the wall


def tells_its_speed(run: Run, table: dict[str, np.ndarray]) -> None:
    assert run.number(r"192 atoms: (\S+) ms a step") > 0.0
    assert np.ptp(table["TotEng"]) / 192 < 1e-3  # as in test_shipped_students


LIQUID = ("PotEng",)
IMAGES = ("PE1", "PE3", "PE5")
RUNS = {
    "benchmark": Example("in.benchmark", 20, (*LIQUID, "TotEng"), SINGLE, 192, 2, tells_its_speed),
    "gcmc": Example("in.gcmc", 40, LIQUID, SINGLE, 3, 1, is_steam),
    "hybrid-zbl": Example("in.hybrid", 100, (*LIQUID, "c_student"), SINGLE, 192, 3, holds_water_back),
    "minimize": Example("in.minimize", 60, LIQUID, DOUBLE, 24, 2, is_bound),
    "molecule": Example("in.molecule", 400, (*LIQUID, "TotEng"), DOUBLE, 3, 3, conserves_energy),
    "neb": Example("in.neb", 20, IMAGES, DOUBLE, 6, 2, goes_down_to_the_path, 5, ("-partition", "5x1")),
    "npt": Example("in.npt", 50, LIQUID, SINGLE, 192, 2, is_a_liquid),
    "slab": Example("in.slab", 50, (*LIQUID, "TotEng"), SINGLE, 192, 2, is_a_liquid),
    "water": Example("in.water", 100, (*LIQUID, "TotEng"), SINGLE, 192, 3, is_a_liquid),
}


@pytest.mark.parametrize("name", RUNS)
def test_example_gives_the_lines_of_its_log(lammps: Lammps, tmp_path: Path, name: str) -> None:
    example = RUNS[name]
    folder = tmp_path / "examples" / name
    for used in {name, "water"}:
        shutil.copytree(EXAMPLES / used, tmp_path / "examples" / used)
    (tmp_path / "potentials").symlink_to(ROOT / "potentials")
    script = (folder / example.script).read_text()
    arguments = ("-var", "steps", str(example.steps), *example.arguments)
    run = lammps.run(folder, script, example.ranks, arguments=arguments)

    expected = read_tables((folder / "log.expected").read_text())[0]
    found = next(table for table in read_tables(run.log) if table.keys() == expected.keys())
    assert list(found["Step"][: example.compared]) == list(expected["Step"][: example.compared])
    for column in example.energies:
        difference = np.abs(found[column][: example.compared] - expected[column][: example.compared]) / example.atoms
        assert difference[0] < example.rounding, column
        assert np.all(difference < GROWTH * example.rounding), column
    example.holds(run, found)


def test_each_folder_is_run_and_listed() -> None:
    folders = {path.parent.name for path in EXAMPLES.glob("*/in.*")}
    index = (EXAMPLES / "README.md").read_text()
    assert folders - {"bring-your-own"} == set(RUNS)  # that one has a test of its own
    for folder in sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__"):
        assert f"({folder}/)" in index, folder
        assert (EXAMPLES / folder / "README.md").exists(), folder
    for name, example in RUNS.items():
        page = (EXAMPLES / name / "README.md").read_text()
        assert f"-in {example.script}" in page, name


@pytest.mark.parametrize("script", sorted((EXAMPLES / "hpc").glob("*.sbatch")), ids=lambda path: path.name)
def test_batch_scripts_are_scripts_of_a_shell(script: Path) -> None:
    checked = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stderr, checked.stderr
    # each names an input that is there
    named = re.findall(r"\bin\.\w+", script.read_text())
    assert named and all(list(EXAMPLES.glob(f"*/{name}")) for name in named)
