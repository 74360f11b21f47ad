"""Boxes of every shape, and boxes that change: each frame equals the student in Python on edges of its own.

What is static and common (cubic, triclinic, smaller than the cutoff, a slab) is in test_ase_equals_lammps.py and
test_edges.py; here are free and shrinking boundaries, barostats, commands and fixes that change the box, and flips.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from frames import OUTPUT, Cases, Judge, frame, run_cases, scatter_atoms
from lammps_run import Lammps, write_data

MASSES = [1.008, 15.999]
BULK = np.diag([8.2, 8.4, 8.6])
SLANTED = np.array([[9.0, 0, 0], [4.3, 8.5, 0], [-3.1, 2.9, 8.8]])
SMALL = np.array([[4.4, 0, 0], [0.9, 4.6, 0], [-0.8, 0.7, 4.9]])  # cutoff 5: atoms see their own images
THIN = np.diag([3.1, 9.0, 9.4])
SYSTEMS = {  # cell, the part of it that atoms fill, from where on, number
    "bulk": (BULK, BULK, 0.0, 40),
    "slanted": (SLANTED, SLANTED, 0.0, 40),
    "small": (SMALL, SMALL, 0.0, 6),
    "thin": (THIN, THIN, 0.0, 14),
    "slab": (BULK + np.diag([0, 0, 18.0]), BULK, [0, 0, 9.0], 36),
    "wire": (BULK + np.diag([22.0, 0, 18.0]), BULK, [11.0, 0, 9.0], 36),
    "cluster": (BULK + 22.0 * np.eye(3), BULK, 11.0, 36),
}


def system(name: str, boundary: str = "p p p") -> str:
    return f"""
    units metal
    boundary {boundary}
    read_data {name}.data
    pair_style mlff precision fp64 jit off check off
    pair_coeff * * student.pt H O
    neighbor 0.4 bin
    neigh_modify every 1 delay 0 check yes
    timestep 0.0005
    velocity all create 900 4711 loop geom
    {OUTPUT}
    """


def dynamics(fix: str, name: str, steps: int = 15) -> str:
    return f"{fix}\nrun {steps}\n{frame(name)}\n"


NVE = "fix 1 all nve"
BAROSTAT = "fix 1 all npt temp 900 900 0.05"  # and short damping times, so that boxes move within some steps
# LAMMPS's own deform/kk stops at a flip on a GPU, whatever the pair style: FixDeformKokkos::pre_exchange() marks
# positions as changed on both sides. Its host style does not.
DEFORM_WITH_FLIPS = """
    if "$(is_active(package,kokkos))" then "suffix off"
    fix 2 all deform 2 xy erate 7.0 remap x flip yes
    if "$(is_active(package,kokkos))" then "suffix on"
    """
CASES = {
    # free boundaries: the box is where it is, or follows the atoms
    "free": system("cluster", "f f f") + dynamics(NVE, "free"),
    "shrink-wrapped": system("cluster", "s s s") + dynamics(NVE, "shrink-wrapped"),
    "shrink-wrapped-with-minimum": system("cluster", "m m m") + dynamics(NVE, "shrink-wrapped-with-minimum"),
    "wire": system("wire", "s p f") + dynamics(NVE, "wire"),
    "slab-shrink-wrapped": system("slab", "p p s") + dynamics(NVE, "slab-shrink-wrapped"),
    "slab-periodic": system("slab") + dynamics(NVE, "slab-periodic"),
    "one-direction-below-cutoff": system("thin") + dynamics(NVE, "one-direction-below-cutoff"),
    # barostats
    "npt-iso": system("bulk") + dynamics(f"{BAROSTAT} iso 9e4 9e4 0.05", "npt-iso"),
    "npt-aniso": system("bulk") + dynamics(f"{BAROSTAT} aniso 9e4 9e4 0.05", "npt-aniso"),
    "npt-tri": system("slanted") + dynamics(f"{BAROSTAT} tri 9e4 9e4 0.05", "npt-tri"),
    "npt-tri-below-cutoff": system("small") + dynamics(f"{BAROSTAT} tri 9e4 9e4 0.05", "npt-tri-below-cutoff"),
    # fix deform moves the box at the end of every second step: after an odd number forces are of this box
    "flip": system("slanted") + dynamics(f"{NVE}\n{DEFORM_WITH_FLIPS}", "flip"),
    "shrinking-below-cutoff": system("wire")
    + dynamics(f"{NVE}\nfix 2 all deform 2 y erate -65.0 remap x", "shrinking-below-cutoff"),
    # commands between runs
    "change_box": system("bulk")
    + f"""
    {NVE}
    run 5
    change_box all x scale 1.07 z delta -0.1 0.2 remap units box
    run 5
    {frame("change_box.scaled")}
    change_box all triclinic xy final 3.0 xz delta -1.5 yz final 2.0 remap units box
    run 5
    {frame("change_box.tilted")}
    change_box all xy final 0 xz final 0 yz final 0 remap ortho boundary p f s units box
    run 5
    {frame("change_box.free")}
    """,
    "replicate": system("small")
    + f"""
    run 0
    {frame("replicate.once")}
    replicate 1 3 2
    run 0
    {frame("replicate.six")}
    {NVE}
    run 10
    {frame("replicate.later")}
    """,
    "displace_atoms": system("slanted")
    + f"""
    {NVE}
    run 5
    {frame("displace_atoms.before")}
    displace_atoms all move 7.0 -11.0 23.0 units box
    run 0
    {frame("displace_atoms.moved")}
    displace_atoms all random 0.1 0.1 0.1 4711 units box
    run 5
    {frame("displace_atoms.random")}
    group half id <= 20
    displace_atoms half rotate 1 2 3 0 1 1 30 units box
    delete_atoms overlap 1.0 all all
    run 0
    {frame("displace_atoms.rotated")}
    """,
    **{
        f"box-relax-{way}": system(cell)
        + f"""
    run 0
    {frame(f"box-relax-{way}.before")}
    min_style cg
    fix 2 all box/relax {way} 0.0 vmax 0.02
    minimize 0 0 8 20
    {frame(f"box-relax-{way}.after")}
    """
        for way, cell in (("iso", "bulk"), ("aniso", "small"), ("tri", "slanted"))
    },
}


def write_systems(folder: Path, student: Path) -> Path:
    (folder / "student.pt").symlink_to(student)
    for name, (cell, filled, start, count) in SYSTEMS.items():
        types, x = scatter_atoms(filled, count)
        write_data(folder / f"{name}.data", cell, types, x + start, MASSES)
    return folder


# What moves atoms and ghosts between ranks; two waiting for each other take their time.
ON_TWO_RANKS = ["shrink-wrapped", "npt-tri-below-cutoff", "flip", "shrinking-below-cutoff", "change_box", "replicate"]


@pytest.fixture(scope="module")
def judge(gentle_student: Path) -> Judge:
    return Judge(gentle_student, ["H", "O"])


@pytest.fixture(scope="module")
def one_rank(lammps: Lammps, gentle_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Cases:
    return run_cases(lammps, write_systems(tmp_path_factory.mktemp("cells"), gentle_student), CASES)


@pytest.mark.parametrize("name", CASES)
def test_frames_equal_the_python_student(one_rank: Cases, judge: Judge, name: str) -> None:
    for frame_name in frame_names(name):
        judge.expect(one_rank[frame_name])


def test_frames_equal_the_python_student_on_two_ranks(
    lammps: Lammps, gentle_student: Path, tmp_path: Path, judge: Judge
) -> None:
    folder = write_systems(tmp_path, gentle_student)
    cases = run_cases(lammps, folder, {name: CASES[name] for name in ON_TWO_RANKS}, ranks=2)
    for name in ON_TWO_RANKS:
        for frame_name in frame_names(name):
            judge.expect(cases[frame_name])


def frame_names(case: str) -> list[str]:
    return re.findall(r"FRAME (\S+)", CASES[case])


def lengths(cases: Cases, name: str) -> np.ndarray:
    return np.diag(cases[name].cell)


def test_the_boxes_were_what_they_are_named_after(one_rank: Cases) -> None:
    start = {name: np.diag(cell) for name, (cell, *_) in SYSTEMS.items()}
    assert not one_rank["free"].pbc.any()
    assert (lengths(one_rank, "shrink-wrapped") < 12.0).all()
    assert lengths(one_rank, "slab-shrink-wrapped")[2] < 12.0 < lengths(one_rank, "slab-periodic")[2]
    scale = lengths(one_rank, "npt-iso") / start["bulk"]
    assert np.ptp(scale) < 1e-12 and scale[0] < 0.99
    assert np.ptp(lengths(one_rank, "npt-aniso") / start["bulk"]) > 1e-3
    tilts = [one_rank["npt-tri"].cell[i, j] / SLANTED[i, j] for i, j in ((1, 0), (2, 0), (2, 1))]
    assert np.ptp(tilts) > 1e-3
    assert one_rank["flip"].cell[1, 0] < -4.0  # it grew from 4.3 beyond half a box length of 9
    assert lengths(one_rank, "shrinking-below-cutoff")[1] < 4.9 < start["wire"][1]
    assert re.search(r"Neighbor list builds = [1-9]", one_rank.log["shrinking-below-cutoff"])
    for way in ("iso", "aniso", "tri"):
        before, after = (one_rank[f"box-relax-{way}.{when}"] for when in ("before", "after"))
        assert after.energy < before.energy and np.abs(after.cell - before.cell).max() > 0.1
        # all cells are under pressure, which the larger box relieves
        assert (after.virial[:3].sum() < before.virial[:3].sum()) and np.linalg.det(after.cell) > np.linalg.det(
            before.cell
        )


def test_replicas_have_as_many_times_the_energy(one_rank: Cases) -> None:
    once, six = one_rank["replicate.once"], one_rank["replicate.six"]
    assert six.energy == pytest.approx(6 * once.energy, rel=1e-12)
    assert six.virial == pytest.approx(6 * once.virial, rel=1e-10)


def test_atoms_moved_by_more_than_a_box_length_have_the_same_energy(one_rank: Cases) -> None:
    before, moved = one_rank["displace_atoms.before"], one_rank["displace_atoms.moved"]
    assert np.abs(moved.x - before.x).max() > 2.0
    assert moved.energy == pytest.approx(before.energy, rel=1e-12)


REFUSED = {
    "flat": (
        "dimension 2\nregion box block 0 9 0 9 -0.5 0.5\ncreate_box 1 box\nmass 1 1.0",
        "expected 'dimension 3', found 'dimension 2'",
    ),
    "no IDs": (
        "atom_modify id no\nregion box block 0 9 0 9 0 9\ncreate_box 1 box\nmass 1 1.0",
        "expected atoms with IDs, found 'atom_modify id no'",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_no_cell_may_be(lammps: Lammps, gentle_student: Path, tmp_path: Path, mistake: str) -> None:
    commands, message = REFUSED[mistake]
    script = f"""
    units metal
    {commands}
    pair_style mlff
    pair_coeff * * {gentle_student} O
    run 0
    """
    assert message in " ".join(lammps.run(tmp_path, script, fails=True).log.split())


def test_tiled_cells_below_the_cutoff_are_refused_by_lammps(
    lammps: Lammps, gentle_student: Path, tmp_path: Path
) -> None:
    """Where bricks go on with more images (npt-tri-below-cutoff), tiles stop."""
    script = system("small").replace("read_data", "comm_style tiled\nread_data") + "balance 1.0 rcb\nrun 0\n"
    log = lammps.run(write_systems(tmp_path, gentle_student), script, 2, fails=True).log
    assert "ERROR: Communication cutoff for comm_style tiled cannot exceed periodic box length" in log
