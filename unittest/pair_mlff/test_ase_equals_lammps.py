"""LAMMPS equals the ASE calculator along a trajectory: energies of atoms, forces, virial, for the same file."""

from __future__ import annotations

from pathlib import Path

import ase
import mlff
import numpy as np
import pytest
from lammps_run import Lammps, force_difference, scattered_points, vectors, write_data

CELLS = {
    "cubic": 8.6 * np.eye(3),
    "slanted": np.array([[8.4, 0, 0], [2.1, 8.0, 0], [-1.6, 1.9, 8.8]]),
    "smaller than the cutoff": np.array([[4.4, 0, 0], [0.9, 4.6, 0], [-0.8, 0.7, 4.9]]),
}
BAR = 1.602176634e6  # bar per eV/Å^3


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp64", 1e-10), ("fp32", 1e-4)]
)  # fp32: sums of some 1000 values
@pytest.mark.parametrize("cell", CELLS)
def test_along_a_trajectory(
    lammps: Lammps, gentle_student: Path, tmp_path: Path, cell: str, precision: str, tolerance: float
) -> None:
    rng = np.random.default_rng(4)
    lattice = CELLS[cell]
    count = 10 if cell.startswith("smaller") else 45
    x = scattered_points(rng, count, np.zeros(3), np.diag(lattice) - 0.9, 1.4)
    kinds = rng.integers(1, 3, count)
    write_data(tmp_path / "data.test", lattice, kinds, x, [1.008, 15.999])
    result = lammps.run(
        tmp_path,
        f"""
        units metal
        read_data data.test
        pair_style mlff precision {precision}
        pair_coeff * * {gentle_student} H O
        neighbor 0.5 bin
        neigh_modify every 1 delay 0 check yes
        velocity all create 800 4711
        fix 1 all nve
        timestep 0.0005
        compute each all pe/atom
        compute virial all pressure NULL virial
        thermo 10
        thermo_style custom step pe c_virial[1] c_virial[2] c_virial[3] c_virial[4] c_virial[5] c_virial[6]
        thermo_modify format float %.16g
        dump 1 all custom 10 dump.txt id xu yu zu fx fy fz c_each
        dump_modify 1 format float %.16g
        run 90
        """,
    )
    frames = [
        ase.Atoms(np.array(["H", "O"])[kinds - 1], vectors({k[:1]: v for k, v in f.items() if k.endswith("u")}, ""),
                  cell=lattice, pbc=True)
        for f in result.dump.values()
    ]  # fmt: skip
    assert len(frames) == 10
    assert np.abs(frames[-1].positions - frames[0].positions).max() > 0.3, "expected atoms to have moved"
    for row, (frame, found) in enumerate(
        zip(result.dump.values(), mlff.evaluate(frames, gentle_student, precision=precision), strict=True)
    ):
        assert force_difference(vectors(frame, "f"), found.forces) < tolerance
        assert np.abs(frame["c_each"] - found.energies).max() < tolerance * np.abs(found.energies).max()
        assert result.thermo["PotEng"][row] == pytest.approx(found.energy, rel=tolerance)
        pressure = found.virial / abs(np.linalg.det(lattice)) * BAR
        for k, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))):
            # LAMMPS's conversion from eV/Å^3 to bar has seven digits
            assert result.thermo[f"c_virial[{k + 1}]"][row] == pytest.approx(
                pressure[a, b], abs=max(tolerance, 1e-6) * np.abs(pressure).max()
            )
