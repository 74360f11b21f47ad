"""The students in potentials/: each has a card that names its checksum, and holds liquid water together in LAMMPS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps
from mlff.model_file import read_header

ROOT = Path(__file__).parent.parent.parent
STUDENTS = sorted((ROOT / "potentials").glob("*.pt"))


def test_there_are_students() -> None:
    assert {path.stem for path in STUDENTS} >= {"water-small", "water-medium"}


@pytest.mark.parametrize("student", STUDENTS, ids=lambda path: path.stem)
def test_card_names_the_file_and_its_limits(student: Path) -> None:
    header, card = read_header(student), student.with_suffix(".md").read_text()
    assert header["sha256"] in card
    assert header["teacher"] and header["license"] and header["references"]
    for heading in ("Errors on held-out frames", "What it is not for", "How to repeat", "Licences"):
        assert f"## {heading}" in card


@pytest.mark.parametrize("student", STUDENTS, ids=lambda path: path.stem)
def test_water_conserves_energy(lammps: Lammps, tmp_path: Path, student: Path) -> None:
    thermo = lammps.run(
        tmp_path,
        f"""
        units metal
        read_data {ROOT / "examples" / "water" / "water.data"}
        pair_style mlff
        pair_coeff * * {student} O H
        velocity all create 300 4711
        fix 1 all nve
        timestep 0.0005
        thermo 5
        thermo_style custom step temp etotal
        thermo_modify format float %.12g
        run 200
        """,
    ).thermo
    # at 0.5 fs velocity Verlet swings the energy of water by some 0.1 meV/atom
    assert np.ptp(thermo["TotEng"]) / 192 < 1e-3
    assert 200 < thermo["Temp"][-1] < 400


@pytest.mark.parametrize("type_of_trials", [1, 2])
@pytest.mark.parametrize("student", STUDENTS, ids=lambda path: path.stem)
def test_trials_on_top_of_an_atom_find_no_hole(
    lammps: Lammps, tmp_path: Path, student: Path, type_of_trials: int
) -> None:
    """Random places within 0.45 Å of an oxygen atom of the liquid."""
    thermo = lammps.run(
        tmp_path,
        f"""
        units metal
        atom_modify map yes
        read_data {ROOT / "examples" / "water" / "water.data"}
        pair_style mlff
        pair_coeff * * {student} O H
        region near sphere $(x[1]) $(y[1]) $(z[1]) 0.45
        fix 1 all widom 1 20 {type_of_trials} 4711 300.0 region near
        thermo_style custom step pe f_1[2]
        run 1
        """,
    ).thermo
    # The mean of exp(-dE / kT). Twelve eV, the repulsion of O and H at 0.5 Å, and the hydrogen atom's reference energy
    # of -6 eV make exp(-230) at most.
    assert thermo["f_1[2]"][-1] < 1e-99
