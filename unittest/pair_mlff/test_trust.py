"""What stops or warns before a number is believed: the check against fp64, numbers that are none, masses, settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps, Run, scattered_points, write_data

STUDENT = Path(__file__).parent.parent / "reference" / "painn-tiny-v1.pt"  # H O, cutoff 5 Å
CELL = np.diag([9.0, 9.2, 9.4])
MASSES = [1.008, 15.999]


def write_system(folder: Path, positions: np.ndarray | None = None, masses: list[float] | None = None) -> None:
    rng = np.random.default_rng(4)
    x = scattered_points(rng, 32, np.zeros(3), np.diag(CELL) - 0.8, 1.5) if positions is None else positions
    write_data(folder / "data.test", CELL, np.arange(len(x)) % 2 + 1, x, masses or MASSES)


def start(style: str = "precision fp64", extra: str = "", steps: str = "run 0", coeff: str = "H O") -> str:
    return f"""
    units metal
    newton on
    read_data data.test
    pair_style mlff {style}
    pair_coeff * * {STUDENT} {coeff}
    neighbor 1.0 bin
    {extra}
    thermo_modify norm no
    {steps}
    """


# ---------------------------------------------------------------- numbers that are none
@pytest.mark.parametrize("ranks", [1, 2])
def test_atoms_on_top_of_one_another_stop_all_ranks_and_are_named(lammps: Lammps, tmp_path: Path, ranks: int) -> None:
    write_system(tmp_path, np.array([[1.0, 1, 1], [4.0, 4, 4], [4.0, 4, 4], [7.0, 7, 7]]))
    script = start("precision fp32 check off").replace("newton on", "newton " + lammps.newton("on"))
    run = lammps.run(tmp_path, script, ranks=ranks, fails=True)
    assert "expected finite energies and forces, found others for the atom of ID" in run.log
    assert "at step 0" in run.log


# ---------------------------------------------------------------- the check
def checked(lammps: Lammps, folder: Path, precision: str) -> Run:
    write_system(folder)
    extra = """
    compute check all pair mlff
    fix error all pair 1 mlff force_error 1
    compute largest all reduce max f_error
    variable here atom sqrt(fx*fx+fy*fy+fz*fz)
    thermo_style custom step pe c_check[1] c_check[2] c_check[3] c_largest
    thermo_modify format float %.12g
    thermo 1
    fix 1 all nve
    """
    return lammps.run(folder, start(f"precision {precision} check 1", extra, "timestep 0.0002\nrun 2"))


def test_differences_of_the_check_are_values_for_thermo(lammps: Lammps, tmp_path: Path) -> None:
    run = checked(lammps, tmp_path / "fp32", "fp32")
    force = run.thermo["c_check[2]"]
    assert (force > 0.0).all() and (force < 1e-3).all()
    assert len(set(force)) == 3, "expected another difference at each step"
    # the length of an atom's difference lies between its largest component and sqrt(3) times that
    largest = run.thermo["c_largest"]
    assert (largest >= force * (1 - 1e-9)).all() and (largest <= np.sqrt(3) * force).all()
    line = run.number(r"largest force ([0-9.e+-]+) eV/Angstrom")
    assert line == pytest.approx(force[0], rel=0.06)  # two digits in the log


def test_fp64_differs_from_itself_by_rounding(lammps: Lammps, tmp_path: Path) -> None:
    run = checked(lammps, tmp_path, "fp64")
    # 1e-16 of forces of some eV/Å, over some 50 neighbors and 16 channels
    assert (run.thermo["c_check[2]"] < 1e-11).all()


def test_fix_pair_without_a_check_is_refused(lammps: Lammps, tmp_path: Path) -> None:
    write_system(tmp_path)
    run = lammps.run(tmp_path, start("check off", "fix error all pair 1 mlff force_error 1"), fails=True)
    assert "cannot extract force_error_flag" in run.log


# ---------------------------------------------------------------- masses
@pytest.mark.parametrize("coeff, warned", [("H O", False), ("O H", True)])
def test_masses_that_do_not_fit_the_elements_warn(lammps: Lammps, tmp_path: Path, coeff: str, warned: bool) -> None:
    write_system(tmp_path)
    run = lammps.run(tmp_path, start(coeff=coeff))
    assert ("which pair_coeff calls O, found 1.008" in run.log) == warned
    assert ("which pair_coeff calls H, found 15.999" in run.log) == warned


def test_deuterium_is_hydrogen(lammps: Lammps, tmp_path: Path) -> None:
    write_system(tmp_path, masses=[2.014, 15.999])
    assert "expected a mass near" not in lammps.run(tmp_path, start()).log


# ---------------------------------------------------------------- settings
@pytest.mark.parametrize("keyword", ["tail", "shift"])
def test_corrections_of_pair_modify_are_refused(lammps: Lammps, tmp_path: Path, keyword: str) -> None:
    write_system(tmp_path)
    run = lammps.run(tmp_path, start(extra=f"pair_modify {keyword} yes"), fails=True)
    assert f"expected 'pair_modify {keyword} no', found 'yes'" in run.log


@pytest.mark.parametrize(
    "exclusion, warned", [("type 1 2", True), ("group left right", True), ("group left all", False)]
)
def test_exclusion_of_pairs_warns(lammps: Lammps, tmp_path: Path, exclusion: str, warned: bool) -> None:
    write_system(tmp_path)
    extra = f"group left id 1:16\ngroup right id 17:32\nneigh_modify exclude {exclusion}"
    run = lammps.run(tmp_path, start(extra=extra))
    assert ("expected each pair within the cutoff, found 'neigh_modify exclude'" in run.log) == warned
