"""One rank equals many: forces, energy and pressure of a disordered system, also after atoms have migrated.

The student has three interactions, so rows of features travel twice forward and twice back at every step. The
box is cut into slabs thinner than the cutoff (ghosts travel two swaps), and the last slab holds no atom.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps, Run, force_difference, scattered_points, vectors, write_data

REFERENCE = Path(__file__).parent.parent / "reference"
STUDENT = REFERENCE / "painn-t3-v1.pt"  # H C O, cutoff 4 Å, T = 3
MASSES = [1.008, 12.011, 15.999]
CUTOFF, SKIN = 4.0, 0.3
NUM_INTERACTIONS = 3
NUM_ATOMS, BOX = 80, np.array([18.0, 8.8, 9.1])
# Sums are taken in the same order on any number of ranks, except over ranks and in reverse exchanges: rounding
# (1e-16) times the growth of a trajectory over 50 steps
TOLERANCE = 1e-10

SCRIPT = """
newton          {newton}
units           metal
atom_style      atomic
comm_style      {style}
{processors}
read_data       data.test
{balance}
pair_style      mlff precision fp64 jit {jit} ghosts {ghosts} check off
pair_coeff      * * {student} H C O
neighbor        {skin} bin
neigh_modify    every 1 delay 0 check yes
{velocity}
fix             1 all nve
timestep        0.0005
thermo          5
thermo_style    custom step temp pe ke press pxx pyy pzz pxy pxz pyz
thermo_modify   format float %.16g
dump            1 all custom 25 dump.txt id type x y z fx fy fz
dump_modify     1 format float %.16g
run             {steps}
"""


@dataclass(frozen=True)
class Case:
    ranks: int
    newton: str = "on"
    style: str = "brick"
    ghosts: str = "auto"
    steps: int = 50

    def script(self, lammps: Lammps, velocity: str, jit: str = "freeze") -> str:
        return SCRIPT.format(
            newton=lammps.newton(self.newton),
            style=self.style,
            processors="" if self.style == "tiled" else f"processors {self.ranks} 1 1",
            balance="balance 1.0 rcb" if self.style == "tiled" else "",
            ghosts=self.ghosts,
            velocity=velocity,
            jit=jit,
            steps=self.steps,
            student=STUDENT,
            skin=SKIN,
        )

    def liquid(self, lammps: Lammps, folder: Path) -> str:
        """The run of the disordered system, whose data file it writes into `folder`."""
        rng = np.random.default_rng(10)
        positions = scattered_points(rng, NUM_ATOMS, np.zeros(3), BOX * [0.7, 1, 1] - [0, 0.7, 0.7], 1.7)
        write_data(folder / "data.test", np.diag(BOX), rng.integers(1, 4, NUM_ATOMS), positions, MASSES)
        return self.script(lammps, "velocity all create 1500 4711 loop geom")


CASES = {
    "1-rank": Case(1),
    "2-ranks": Case(2),
    "3-ranks": Case(3, ghosts="exchange"),
    "4-ranks": Case(4),
    "8-ranks-thinner-than-cutoff": Case(8),
    "1-rank-newton-off": Case(1, newton="off"),
    "4-ranks-newton-off": Case(4, newton="off"),
    "3-ranks-tiled": Case(3, style="tiled"),
    "4-ranks-tiled-newton-off": Case(4, "off", "tiled"),
    "1-rank-halo": Case(1, ghosts="halo"),
    # a rank evaluates several boxes' worth of ghosts, so fewer steps
    "2-ranks-halo-newton-off": Case(2, "off", ghosts="halo", steps=25),
    "4-ranks-halo": Case(4, ghosts="halo", steps=25),
}


@pytest.fixture(scope="module")
def run(lammps: Lammps, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of a case; those on as many ranks are in one process."""

    @functools.cache
    def run_together(ranks: int) -> dict[str, Run]:
        folder = tmp_path_factory.mktemp(f"ranks{ranks}")
        cases = {name: case for name, case in CASES.items() if case.ranks == ranks}
        scripts = {name: case.liquid(lammps, folder / name) for name, case in cases.items()}
        return lammps.run_each(folder, scripts, ranks)

    return lambda name: run_together(CASES[name].ranks)[name]


@pytest.mark.parametrize("name", [name for name in CASES if name != "1-rank"])
def test_equals_one_rank(lammps: Lammps, run: Callable[[str], Run], name: str) -> None:
    one_rank, many = run("1-rank"), run(name)
    ranks, ghosts, steps = CASES[name].ranks, CASES[name].ghosts, CASES[name].steps
    assert list(many.dump) == list(range(0, steps + 1, 25))
    for step in many.dump:
        assert force_difference(vectors(many.dump[step], "f"), vectors(one_rank.dump[step], "f")) < TOLERANCE
    scale = np.abs(one_rank.thermo["Press"]).max()
    rows = steps // 5 + 1
    for column in ("Press", "Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz"):
        assert np.abs(many.thermo[column] - one_rank.thermo[column][:rows]).max() < TOLERANCE * scale
    energy = one_rank.thermo["PotEng"]
    assert np.abs(many.thermo["PotEng"] - energy[:rows]).max() < TOLERANCE * np.abs(energy).max()
    # it was a test of what it says: lists were rebuilt, and the halo is one cutoff wide, or three where asked for
    assert many.number(r"Neighbor list builds = (\d+)") >= 3
    cutoffs = NUM_INTERACTIONS if ghosts == "halo" and ranks > 1 else 1
    assert many.number(r"ghost atom cutoff = ([\d.]+)") == pytest.approx(cutoffs * CUTOFF + SKIN)
    forward, reverse = (many.number(rf"exchanges per call: .*?([\d.]+) {way}") for way in ("forward", "reverse"))
    if lammps.device == "cuda" and ranks > 1:
        ways = "on the GPU|packed on the GPU, sent from the host|through host buffers"
        assert re.search(rf"^  ghosts .*; ({ways})$", many.log, re.M)
    if ranks == 1:
        assert (forward, reverse) == (0, 0)
    elif ghosts == "halo":
        assert (forward, reverse) == (0, 1)  # forces go home
    else:
        assert (forward, reverse) == (NUM_INTERACTIONS - 1, NUM_INTERACTIONS - 1 + 1)  # and forces go home


def test_some_rank_is_empty_and_atoms_migrate(run: Callable[[str], Run]) -> None:
    """The assumptions of the other tests, seen in the run with 8 slabs."""
    one_rank, many = run("1-rank"), run("8-ranks-thinner-than-cutoff")
    assert re.search(r"Nlocal: +[\d.]+ ave +\d+ max +0 min", many.log)
    width = BOX[0] / 8
    assert width < CUTOFF
    slab = [np.floor(frame["x"] / width) for frame in (one_rank.dump[0], one_rank.dump[50])]
    assert np.count_nonzero(slab[0] != slab[1]) >= 3


def test_wide_halo_needs_boxes_wider_than_it_with_tiles(lammps: Lammps, tmp_path: Path) -> None:
    script = Case(2, style="tiled", ghosts="halo").liquid(lammps, tmp_path)
    refused = " ".join(lammps.run(tmp_path, script, 2, fails=True).log.split())
    assert re.search(r"box lengths of at least 12.3\d*, the width of the wide halo .* found 8.8", refused)
    assert "Use 'comm_style brick', or 'ghosts exchange' where" in refused


# ---------------------------------------------------------------------------------------------- no edges


def write_atoms(folder: Path, kinds: list[int]) -> None:
    """Atoms farther apart than the cutoff."""
    x = np.array([[1.0, 1.0, 1.0], [11.0, 1.0, 1.0], [21.0, 1.0, 1.0]])[: len(kinds)]
    write_data(folder / "data.test", 30.0 * np.eye(3), np.array(kinds), x, MASSES)


def test_halo_is_as_before_after_another_style(lammps: Lammps, tmp_path: Path) -> None:
    """The wide halo ends with the style that asked for it."""
    write_atoms(tmp_path, [3])
    script = Case(2, ghosts="halo", steps=0).script(lammps, "")
    script += f"""
    pair_style      mlff ghosts exchange
    pair_coeff      * * {STUDENT} H C O
    run             0
    """
    log = lammps.run(tmp_path, script, 2).log
    widths = [float(width) for width in re.findall(r"ghost atom cutoff = ([\d.]+)", log)]
    assert widths == pytest.approx([NUM_INTERACTIONS * CUTOFF + SKIN, CUTOFF + SKIN])


NO_ATOMS = f"""
units metal
region box block 0 20 0 20 0 20
create_box 3 box
mass * 1.0
pair_style mlff
pair_coeff * * {STUDENT} H C O
thermo_style custom step pe
fix 1 all nve
run 2
"""


@pytest.mark.parametrize("ranks", [1, 4])
def test_zero_edges(lammps: Lammps, tmp_path: Path, ranks: int) -> None:
    """No edge anywhere, ranks without atoms: energies are constants of the elements, forces are zero."""
    systems = {"moving": [3], "all": [1, 2, 3], "1": [1], "2": [2], "3": [3]}
    scripts = {"none": NO_ATOMS}
    for name, kinds in systems.items():
        write_atoms(tmp_path / name, kinds)
        # from rank to rank; test_modes.py has small graphs in every mode
        velocity, jit, steps = ("velocity all set 1000 0 0", "freeze", 50) if name == "moving" else ("", "off", 0)
        scripts[name] = Case(ranks, steps=steps).script(lammps, velocity, jit)
    found = lammps.run_each(tmp_path, scripts, ranks)
    energy = {name: run.thermo["PotEng"] for name, run in found.items()}
    for name in systems:
        assert all(np.all(vectors(frame, "f") == 0.0) for frame in found[name].dump.values())
        assert np.isfinite(energy[name]).all() and energy[name][0] != 0.0
    assert np.ptp(energy["moving"]) == 0.0 and energy["moving"][0] == pytest.approx(energy["3"][0], rel=1e-12)
    assert found["moving"].dump[50]["x"][0] == pytest.approx(26.0)
    assert energy["all"][0] == pytest.approx(energy["1"][0] + energy["2"][0] + energy["3"][0], abs=1e-12)
    assert energy["none"][-1] == 0.0
