"""Which atoms there are, and which pairs LAMMPS lists: frames equal the student in Python on edges as they should be.

Atoms come and go while a run goes on; types change without re-neighboring; pairs are excluded; bonds take neighbors
out of the list. Deletion and creation between runs are in test_present_atoms.py.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from frames import OUTPUT, Cases, Frame, Judge, frame, run_cases, scatter_atoms
from lammps_run import Lammps, read_thermo, write_data

MASSES = [1.008, 15.999]
BOX = np.array([11.0, 8.4, 17.0])
FILLED = np.array([11.0, 8.4, 8.6])  # atoms have some vacuum above them
COUNT = 48

WATER = """\
water

3 atoms

Coords

1 0 0 0
2 0.97 0 0
3 -0.24 0.94 0

Types

1 2
2 1
3 1
"""

PAIR = """
pair_style mlff precision fp64 jit off check off
pair_coeff * * student.pt H O
neighbor 0.4 bin
neigh_modify every 1 delay 0 check yes
timestep 0.0005
"""


def system(data: str = "atomic", style: str = "atomic", before: str = "") -> str:
    return f"""
    units metal
    atom_style {style}
    {before}
    processors * 1 1
    read_data {data}.data
    {PAIR}
    {OUTPUT}
    velocity all create 900 4711 loop geom
    """


def dynamics(commands: str, name: str, steps: int = 12) -> str:
    return f"fix 1 all nve\n{commands}\nrun {steps}\n{frame(name)}\n"


def excluded(exclusion: str, name: str) -> str:
    """A run with an exclusion and one without, of atoms in molecules of three."""
    groups = "group low id <= 20\ngroup high id > 30\n"
    return (
        system("molecules", "bond")
        + groups
        + dynamics(f"neigh_modify exclude {exclusion}", name)
        + f"neigh_modify exclude none\nrun 0\n{frame(name + '.none')}"
    )


COMING_AND_GOING = {
    "deposit": system()
    + "region top block 0 11 0 8.4 9.0 11.0\n"
    + dynamics("fix 2 all deposit 4 1 3 4711 region top near 1.1 vz -20 -20", "deposit", 14),
    "deposit-molecules": system()
    + "region top block 0 11 0 8.4 9.5 12.0\nmolecule water water.txt\n"
    + dynamics("fix 2 all deposit 2 0 5 4711 region top near 1.0 vz -20 -20 mol water", "deposit-molecules", 14),
    "evaporate": system()
    + "region upper block INF INF INF INF 4.0 INF\n"
    + dynamics("fix 2 all evaporate 4 3 upper 4711", "evaporate", 14),
    "none-left": system()
    + f"""
    fix 1 all nve
    run 2
    delete_atoms group all
    run 2
    {frame("none-left.none")}
    create_atoms 2 single 5 4 4
    create_atoms 1 single 5.9 4.3 4
    run 2
    {frame("none-left.two")}
    """,
    # atoms at rest at 1 K: swaps that are taken lower the energy
    "swap": system()
    + f"""
    velocity all set 0 0 0
    fix 2 all atom/swap 1 6 4711 1.0 ke no types 1 2
    compute energy all pe
    thermo 1
    run 8
    {frame("swap")}
    print "ACCEPTED $(f_2[2])"
    """,
    "types": system()
    + f"""
    fix 1 all nve
    run 3
    set atom 1*10 type 2
    run 3
    {frame("types.set")}
    set group all type/fraction 1 0.5 4711
    run 3
    {frame("types.fraction")}
    """,
}
LISTS = {
    "sort": system() + dynamics("atom_modify sort 1 3.0", "sort"),
    "sort-off": system() + dynamics("atom_modify sort 0 0", "sort-off"),
    "binsize": system() + dynamics("neigh_modify binsize 1.7", "binsize"),
    "no-skin": system() + dynamics("neighbor 0.0 bin", "no-skin"),
    "large-skin": system() + dynamics("neighbor 3.0 bin\nneigh_modify delay 6 every 3 check no", "large-skin"),
    "far-ghosts": system() + dynamics("comm_modify cutoff 10.0 vel yes", "far-ghosts"),
    "near-ghosts": system() + dynamics("comm_modify cutoff 2.0", "near-ghosts"),
}
KOKKOS_REFUSES = {
    "nsq": (system() + dynamics("neighbor 0.4 nsq", "nsq"), "KOKKOS package only supports 'bin' neighbor lists"),
    "multi": (
        system() + dynamics("neighbor 0.4 multi\ncomm_modify mode multi cutoff/multi 1 8.0", "multi"),
        "KOKKOS package only supports 'bin' neighbor lists",
    ),
}
EXCLUSIONS = {
    "type": "type 1 2",
    "same-type": "type 1 1",
    "groups": "group low high",
    "one-group": "group low low",
    "molecule": "molecule/intra low",
    "between-molecules": "molecule/inter low",
    "absent": "group low all",
    "absent-too": "group all high",
}
CASES = {
    **COMING_AND_GOING,
    **LISTS,
    **{f"exclude-{name}": excluded(exclusion, f"exclude-{name}") for name, exclusion in EXCLUSIONS.items()},
}
ON_TWO_RANKS = [*COMING_AND_GOING, "far-ghosts", "exclude-groups", "exclude-molecule", "exclude-absent"]


def keep(name: str, at: Frame, center: np.ndarray, neighbor: np.ndarray) -> np.ndarray:
    """Which edges an exclusion leaves."""
    ids = at.atoms["id"]
    molecule, low, high = (ids - 1) // 3, ids <= 20, ids > 30
    if name == "type":
        return at.types[center] == at.types[neighbor]
    if name == "same-type":
        return (at.types[center] != 1) | (at.types[neighbor] != 1)
    if name == "groups":
        return ~(low[center] & high[neighbor] | high[center] & low[neighbor])
    both_low = low[center] & low[neighbor]
    return (
        ~both_low
        | {
            "one-group": np.zeros_like(both_low),
            "molecule": molecule[center] != molecule[neighbor],
            "between-molecules": molecule[center] == molecule[neighbor],
        }[name]
    )


def write_systems(folder: Path, student: Path) -> Path:
    (folder / "student.pt").symlink_to(student)
    (folder / "water.txt").write_text(WATER)
    types, x = scatter_atoms(np.diag(FILLED), COUNT)
    write_data(folder / "atomic.data", np.diag(BOX), types, x, MASSES)
    write_molecules(folder / "molecules.data", types, x, molecule=np.arange(COUNT) // 3 + 1)
    return folder


def write_molecules(
    path: Path,
    types: np.ndarray,
    x: np.ndarray,
    molecule: np.ndarray,
    chains: dict[str, list[tuple[int, ...]]] | None = None,
) -> None:
    """A data file with molecules; `chains` are IDs of bonded atoms under 'Bonds', 'Angles', 'Dihedrals'."""
    write_data(path, np.diag(BOX), types, x, MASSES)
    head, atoms = path.read_text().split("Atoms # atomic\n\n")
    rows = [line.split() for line in atoms.splitlines()]
    lines = [f"{row[0]} {m} {' '.join(row[1:])}" for row, m in zip(rows, molecule, strict=True)]
    counts, sections = [], ["Atoms", "", *lines]
    for name, members in (chains or {}).items():
        counts += [f"{len(members)} {name.lower()}", f"1 {name.lower()[:-1]} types"]
        sections += ["", name, "", *(f"{n} 1 {' '.join(map(str, ids))}" for n, ids in enumerate(members, 1))]
    head = head.replace(" atom types\n", " atom types\n" + "\n".join(counts) + "\n")
    path.write_text(head + "\n".join(sections) + "\n")


@pytest.fixture(scope="module")
def judge(gentle_student: Path) -> Judge:
    return Judge(gentle_student, ["H", "O"])


@pytest.fixture(scope="module")
def one_rank(lammps: Lammps, gentle_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Cases:
    return run_cases(lammps, write_systems(tmp_path_factory.mktemp("lists"), gentle_student), CASES)


@pytest.fixture(scope="module")
def two_ranks(lammps: Lammps, gentle_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Cases:
    folder = write_systems(tmp_path_factory.mktemp("lists"), gentle_student)
    return run_cases(lammps, folder, {name: CASES[name] for name in ON_TWO_RANKS}, ranks=2)


def expect_frames(judge: Judge, cases: Cases, case: str) -> None:
    for name in re.findall(r"FRAME (\S+)", CASES[case]):
        found = cases[name]
        exclusion = case.removeprefix("exclude-")
        if name.endswith(".none") or not case.startswith("exclude-"):
            judge.expect(found)
        elif exclusion.startswith("absent"):
            ids = found.atoms["id"]
            gone = ids <= 20 if exclusion == "absent" else ids > 30
            assert np.all(found.forces[gone] == 0.0) and gone.any()
            judge.expect(replace(found, atoms={key: values[~gone] for key, values in found.atoms.items()}))
        else:
            judge.expect(found, partial(keep, exclusion, found))


@pytest.mark.parametrize("case", CASES)
def test_frames_equal_the_python_student(one_rank: Cases, judge: Judge, case: str) -> None:
    expect_frames(judge, one_rank, case)


@pytest.mark.parametrize("case", ON_TWO_RANKS)
def test_frames_equal_the_python_student_on_two_ranks(two_ranks: Cases, judge: Judge, case: str) -> None:
    expect_frames(judge, two_ranks, case)


def test_atoms_came_and_went(one_rank: Cases, two_ranks: Cases) -> None:
    for cases in (one_rank, two_ranks):
        counts = {name: len(found.types) for name, found in cases.frames.items()}
        assert counts["deposit"] == COUNT + 4
        assert counts["deposit-molecules"] == COUNT + 6
        assert counts["evaporate"] == COUNT - 3 * 3
        assert (counts["none-left.none"], counts["none-left.two"]) == (0, 2)
        assert cases["none-left.none"].energy == 0.0
        assert np.abs(cases["none-left.two"].forces).max() > 0.1


def test_swaps_without_reneighboring_lower_the_energy(one_rank: Cases, two_ranks: Cases) -> None:
    """With types of an old list each swap would seem to cost nothing, and be taken."""
    for cases in (one_rank, two_ranks):
        energies = read_thermo(cases.log["swap"])["PotEng"]
        match = re.search(r"ACCEPTED (\d+)", cases.log["swap"])
        assert match and 0 < int(match[1]) < 8 * 6
        assert (np.diff(energies) <= 1e-9).all() and energies[-1] < energies[0] - 0.1


def test_exclusions_of_pairs_are_told(one_rank: Cases) -> None:
    """Energies are then of a system that is none of nature's (NEP_CPU#19); absent atoms are as if never there."""
    for name in EXCLUSIONS:
        warned = "found 'neigh_modify exclude' of types, molecules or two groups" in one_rank.log[f"exclude-{name}"]
        assert warned == (not name.startswith("absent"))


@pytest.mark.parametrize("name", KOKKOS_REFUSES)
def test_neighbor_styles(lammps: Lammps, gentle_student: Path, tmp_path: Path, judge: Judge, name: str) -> None:
    script, refusal = KOKKOS_REFUSES[name]
    folder = write_systems(tmp_path, gentle_student)
    if "kk" in lammps.flags:
        assert refusal in lammps.run(folder, script, fails=True).log
    else:
        judge.expect(run_cases(lammps, folder, {name: script})[name])


def test_short_neighbor_lists_overflow_with_an_error(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    """Kokkos makes its lists longer instead."""
    script = system() + "neigh_modify one 12 page 1200\nrun 0\n"
    host = replace(lammps, flags=())
    log = host.run(write_systems(tmp_path, gentle_student), script, fails=True).log
    assert "Neighbor list overflow, boost neigh_modify one" in log


def test_ghosts_of_the_first_group_alone_are_told(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    script = system() + "group low id <= 20\natom_modify first low\ncomm_modify group low\nrun 0\n"
    log = " ".join(lammps.run(write_systems(tmp_path, gentle_student), script).log.split())
    assert "WARNING: pair_style mlff: expected ghosts of all atoms, found 'atom_modify first'" in log


# ---------------------------------------------------------------------------------------------- special_bonds

# HOOH chains and water, bonded within molecules of atoms that lie in a row in the file
HOOH = np.array([[0.0, 0, 0], [0.97, 0, 0], [1.3, 1.4, 0], [2.1, 1.5, 0.5]])


def bonded(data: str, special: str) -> str:
    styles = "\n".join(
        f"{name}_style zero nocoeff" for name in ("bond", "angle", "dihedral") if data == "chains" or name == "bond"
    )
    coefficients = "\n".join(
        f"{name}_coeff *" for name in ("bond", "angle", "dihedral") if data == "chains" or name == "bond"
    )
    text = system(data, "molecular", before=styles)
    return text.replace(f"read_data {data}.data", f"read_data {data}.data\n{coefficients}\nspecial_bonds {special}")


def write_chains(folder: Path, student: Path) -> Path:
    write_systems(folder, student)
    sites = np.array([[2.0, 2, 3], [2.0, 5, 7], [6.5, 3, 4], [6.0, 5, 9]])
    x = np.concatenate([HOOH + site for site in sites])
    types = np.array([1, 2, 2, 1] * len(sites))
    first = 4 * np.arange(len(sites)) + 1
    chains = {
        "Bonds": [(n + k, n + k + 1) for n in first for k in range(3)],
        "Angles": [(n + k, n + k + 1, n + k + 2) for n in first for k in range(2)],
        "Dihedrals": [(n, n + 1, n + 2, n + 3) for n in first],
    }
    molecule = np.repeat(np.arange(len(sites)) + 1, 4)
    write_molecules(folder / "chains.data", types, x, molecule, chains)
    write_molecules(folder / "bonds.data", types, x, molecule, {"Bonds": chains["Bonds"]})
    return folder


KEPT = {
    "ones": "lj/coul 1 1 1",
    "halves": "lj/coul 0.5 0.5 0.5",
    "tiny": "lj/coul 1e-50 1e-50 1e-50",
    "coul-alone": "lj 0 0 0 coul 1 1 1",
    "lj-alone": "lj 1 1 1 coul 0 0 0",
}


def test_factors_of_special_bonds_above_zero_change_nothing(
    lammps: Lammps, gentle_student: Path, tmp_path: Path, judge: Judge
) -> None:
    cases = {
        f"{data}-{name}": bonded(data, special) + dynamics("", f"{data}-{name}", 3)
        for data in ("chains", "bonds")
        for name, special in KEPT.items()
    }
    found = run_cases(lammps, write_chains(tmp_path, gentle_student), cases)
    for name in cases:
        judge.expect(found[name])


@pytest.mark.parametrize(
    ("data", "special", "removed"),
    [
        ("chains", "lj/coul 0 1 1", "1-2"),
        ("chains", "lj/coul 1 0 1", "1-3"),
        ("chains", "lj/coul 1 1 0", "1-4"),
        ("chains", "charmm", "1-2"),
        # LAMMPS finds 1-3 and 1-4 neighbors along bonds, with no angle or dihedral defined
        ("bonds", "lj/coul 1 0 1", "1-3"),
        ("bonds", "lj/coul 1 1 0", "1-4"),
    ],
)
def test_factors_of_zero_are_refused(
    lammps: Lammps, gentle_student: Path, tmp_path: Path, data: str, special: str, removed: str
) -> None:
    script = bonded(data, special) + "run 0\n"
    log = " ".join(lammps.run(write_chains(tmp_path, gentle_student), script, fails=True).log.split())
    assert f"found 'special_bonds' that remove {removed} neighbors. Use 'special_bonds lj/coul 1 1 1'." in log
