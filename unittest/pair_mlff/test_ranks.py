"""One rank equals many: forces, energy and pressure of a disordered system, also after atoms have migrated.

The student has three interactions, so rows of features travel twice forward and twice back at every step. The
box is cut into slabs thinner than the cutoff (ghosts travel two swaps), and the last slab holds no atom.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps, Run, force_difference, scattered_points, vectors, write_data

REFERENCE = Path(__file__).parent.parent / "reference"
STUDENT = REFERENCE / "painn-t3-v1.pt"  # H C O, cutoff 4 Å, T = 3
CUTOFF, SKIN = 4.0, 0.3
NUM_INTERACTIONS = 3
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
pair_style      mlff precision fp64 jit {jit} ghosts {ghosts}
pair_coeff      * * {student} H C O
neighbor        {skin} bin
neigh_modify    every 1 delay 0 check yes
velocity        all create 1500 4711 loop geom
fix             1 all nve
timestep        0.0005
thermo          10
thermo_style    custom step temp pe ke press pxx pyy pzz pxy pxz pyz
thermo_modify   format float %.16g
dump            1 all custom 50 dump.txt id type x y z fx fy fz
dump_modify     1 format float %.16g
run             50
"""


def run(
    lammps: Lammps,
    folder: Path,
    ranks: int,
    newton: str = "on",
    style: str = "brick",
    jit: str = "freeze",
    ghosts: str = "auto",
    fails: bool = False,
) -> Run:
    rng = np.random.default_rng(11)
    box = np.array([24.0, 8.8, 9.1])
    positions = scattered_points(rng, 110, np.zeros(3), np.array([17.0, 8.1, 8.4]), 1.55)
    write_data(
        folder / "data.test", np.diag(box), rng.integers(1, 4, len(positions)), positions, [1.008, 12.011, 15.999]
    )
    script = SCRIPT.format(
        newton=lammps.newton(newton),
        style=style,
        processors="" if style == "tiled" else f"processors {ranks} 1 1",
        balance="balance 1.0 rcb" if style == "tiled" else "",
        jit=jit,
        ghosts=ghosts,
        student=STUDENT,
        skin=SKIN,
    )
    return lammps.run(folder, script, ranks, fails)


@pytest.fixture(scope="module")
def one_rank(lammps: Lammps, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(lammps, tmp_path_factory.mktemp("one_rank"), 1)


CASES = [
    pytest.param(2, "on", "brick", "auto", id="2-ranks"),
    pytest.param(3, "on", "brick", "exchange", id="3-ranks"),
    pytest.param(4, "on", "brick", "auto", id="4-ranks"),
    pytest.param(8, "on", "brick", "auto", id="8-ranks-thinner-than-cutoff"),
    pytest.param(1, "off", "brick", "auto", id="1-rank-newton-off"),
    pytest.param(4, "off", "brick", "auto", id="4-ranks-newton-off"),
    pytest.param(3, "on", "tiled", "auto", id="3-ranks-tiled"),
    pytest.param(4, "off", "tiled", "auto", id="4-ranks-tiled-newton-off"),
    pytest.param(1, "on", "brick", "halo", id="1-rank-halo"),
    pytest.param(2, "off", "brick", "halo", id="2-ranks-halo-newton-off"),
    pytest.param(4, "on", "brick", "halo", id="4-ranks-halo"),
]


@pytest.mark.parametrize(("ranks", "newton", "style", "ghosts"), CASES)
def test_equals_one_rank(
    lammps: Lammps, tmp_path: Path, one_rank: Run, ranks: int, newton: str, style: str, ghosts: str
) -> None:
    many = run(lammps, tmp_path, ranks, newton, style, ghosts=ghosts)
    for step in (0, 50):
        assert force_difference(vectors(many.dump[step], "f"), vectors(one_rank.dump[step], "f")) < TOLERANCE
    scale = np.abs(one_rank.thermo["Press"]).max()
    for column in ("Press", "Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz"):
        assert np.abs(many.thermo[column] - one_rank.thermo[column]).max() < TOLERANCE * scale
    assert (
        np.abs(many.thermo["PotEng"] - one_rank.thermo["PotEng"]).max()
        < TOLERANCE * np.abs(one_rank.thermo["PotEng"]).max()
    )
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


def test_wide_halo_needs_boxes_wider_than_it_with_tiles(lammps: Lammps, tmp_path: Path) -> None:
    stopped = run(lammps, tmp_path, 2, style="tiled", ghosts="halo", fails=True)
    refused = " ".join(stopped.log.split())
    assert re.search(r"box lengths of at least 12.3\d*, the width of the wide halo .* found 8.8", refused)
    assert "Use 'comm_style brick', or 'ghosts exchange'." in refused


def lone_atom(lammps: Lammps, folder: Path, ghosts: str, velocity: str) -> str:
    """Writes one atom in a large box; the script of its run, with the command `velocity`."""
    write_data(folder / "data.test", 30.0 * np.eye(3), np.array([3]), np.array([[1.0, 2.0, 3.0]]), [1.0, 12.0, 16.0])
    return SCRIPT.format(
        newton=lammps.newton("on"),
        style="brick",
        processors="",
        balance="",
        jit="freeze",
        ghosts=ghosts,
        student=STUDENT,
        skin=SKIN,
    ).replace("velocity        all create 1500 4711 loop geom", velocity)


def test_halo_is_as_before_after_another_style(lammps: Lammps, tmp_path: Path) -> None:
    """The wide halo ends with the style that asked for it."""
    script = lone_atom(lammps, tmp_path, "halo", "")
    script += f"""
    pair_style      mlff ghosts exchange
    pair_coeff      * * {STUDENT} H C O
    run             0
    """
    log = lammps.run(tmp_path, script, 2).log
    widths = [float(width) for width in re.findall(r"ghost atom cutoff = ([\d.]+)", log)]
    assert widths == pytest.approx([NUM_INTERACTIONS * CUTOFF + SKIN, CUTOFF + SKIN])


def test_some_rank_is_empty_and_atoms_migrate(lammps: Lammps, tmp_path: Path, one_rank: Run) -> None:
    """The assumptions of the other tests, seen in the run with 8 slabs of 3 Å."""
    many = run(lammps, tmp_path, 8)
    counts = re.search(r"Nlocal: .*\nHistogram: (.*)", many.log)
    assert counts and re.search(r"Nlocal: +[\d.]+ ave +\d+ max +0 min", many.log)
    slab = [np.floor(frame["x"] / 3.0) for frame in (one_rank.dump[0], one_rank.dump[50])]
    assert np.count_nonzero(slab[0] != slab[1]) >= 3


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_lone_atom(lammps: Lammps, tmp_path: Path, ranks: int) -> None:
    """One atom, no edge anywhere, ranks without atoms: the energy is a constant of the element, the force zero."""
    script = lone_atom(lammps, tmp_path, "auto", "velocity all set 100 0 0")
    result = lammps.run(tmp_path, script, ranks)
    assert np.all(vectors(result.dump[50], "f") == 0.0)
    assert np.ptp(result.thermo["PotEng"]) == 0.0
    assert np.isfinite(result.thermo["PotEng"]).all() and result.thermo["PotEng"][0] != 0.0


@pytest.mark.parametrize("ranks", [1, 3])
def test_zero_edges(lammps: Lammps, tmp_path: Path, ranks: int) -> None:
    """Atoms farther apart than the cutoff have no forces, and the energy is the sum of the lone atoms'."""
    positions = np.array([[1.0, 1, 1], [11.0, 1, 1], [21.0, 1, 1]])
    script = SCRIPT.format(
        newton=lammps.newton("on"),
        style="brick",
        processors="",
        balance="",
        jit="freeze",
        ghosts="auto",
        student=STUDENT,
        skin=SKIN,
    )
    script = script.replace("velocity        all create 1500 4711 loop geom", "")
    energies = []
    for name, kinds, points in [("all", [1, 2, 3], positions), *((str(k), [k], positions[:1]) for k in (1, 2, 3))]:
        write_data(tmp_path / name / "data.test", 30.0 * np.eye(3), np.array(kinds), points, [1.0, 12.0, 16.0])
        result = lammps.run(tmp_path / name, script, ranks)
        assert np.all(vectors(result.dump[0], "f") == 0.0)
        energies.append(result.thermo["PotEng"][0])
    assert energies[0] == pytest.approx(sum(energies[1:]), abs=1e-12)


def test_no_atoms(lammps: Lammps, tmp_path: Path) -> None:
    script = f"""
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
    assert lammps.run(tmp_path, script).thermo["PotEng"][-1] == 0.0
