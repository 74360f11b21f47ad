"""Constant-energy dynamics in fp64: the error of the integrator falls as dt^2, and nothing drifts.

Velocity Verlet conserves a shadow energy that differs from the true one by O(dt^2); any error in the forces (a
gradient that is not that of the energy, a jump at the cutoff) adds a part that does not fall as dt^2, or a drift.
The start is equilibrated: as long as potential energy turns into heat, that O(dt^2) difference has a trend of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps, scattered_points, write_data

TIME_STEPS_FS = (0.125, 0.25, 0.5)
NUM_ATOMS = 60

START = """
units           metal
read_data       data.test
pair_style      mlff precision fp64
pair_coeff      * * {student} H O
min_modify      norm inf
minimize        0 0.5 300 3000
velocity        all create 600 4711 loop geom
timestep        0.0005
fix             1 all nve
fix             2 all langevin 300 300 0.05 8151
run             3000
write_restart   start.bin
"""

DYNAMICS = """
read_restart    start.bin
pair_style      mlff precision fp64
pair_coeff      * * {student} H O
neighbor        0.5 bin
neigh_modify    every 1 delay 0 check yes
reset_timestep  0
timestep        {dt}
fix             1 all nve
thermo          {every}
thermo_style    custom step etotal temp
thermo_modify   format float %.16g
run             {steps}
"""


def drift(time: np.ndarray, energy: np.ndarray, blocks: int = 10) -> tuple[float, float]:
    """Slope of the energy in time with its standard error from the slopes of blocks, which hold correlated samples."""
    slope = np.polyfit(time, energy, 1)[0]
    residual = energy - np.polyval(np.polyfit(time, energy, 1), time)
    means = np.array([block.mean() for block in np.array_split(residual, blocks)])
    centers = np.array([block.mean() for block in np.array_split(time, blocks)])
    spread = np.sqrt((means**2).sum() / (blocks - 2))
    return slope, spread / np.sqrt(((centers - centers.mean()) ** 2).sum())


@pytest.fixture(scope="module")
def energies(
    lammps: Lammps, gentle_student: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """dt -> times (ps) and total energies (eV) over 1 ps from one start."""
    folder = tmp_path_factory.mktemp("nve")
    rng = np.random.default_rng(5)
    cell = np.array([[9.0, 0, 0], [1.0, 9.2, 0], [-0.7, 0.8, 9.4]])
    x = scattered_points(rng, NUM_ATOMS, np.zeros(3), np.array([8.0, 8.2, 8.4]), 1.5)
    write_data(folder / "data.test", cell, rng.integers(1, 3, NUM_ATOMS), x, [1.008, 15.999])
    lammps.run(folder, START.format(student=gentle_student))
    result = {}
    for dt in TIME_STEPS_FS:
        script = DYNAMICS.format(student=gentle_student, dt=dt * 1e-3, every=round(1.0 / dt), steps=round(1000 / dt))
        thermo = lammps.run(folder, script).thermo
        result[dt] = thermo["Step"] * dt * 1e-3, thermo["TotEng"]
    return result


def test_fluctuation_falls_as_time_step_squared(energies: dict[float, tuple[np.ndarray, np.ndarray]]) -> None:
    fluctuation = [energies[dt][1].std() for dt in TIME_STEPS_FS]
    slope = np.polyfit(np.log(TIME_STEPS_FS), np.log(fluctuation), 1)[0]
    print(f"fluctuation (eV) {fluctuation}, slope {slope:.3f}")
    assert 1.8 < slope < 2.2


def test_no_drift(energies: dict[float, tuple[np.ndarray, np.ndarray]]) -> None:
    """Asserted at the smallest step, where the integrator's own error is least; an error of the forces would remain.

    At 0.5 fs hydrogen bouncing off the repulsive wall costs the integrator more than 1 meV/atom/ns within 1 ps.
    """
    for dt in TIME_STEPS_FS:
        slope, error = (1e6 * value / NUM_ATOMS for value in drift(*energies[dt]))  # meV/atom/ns
        print(f"dt {dt} fs: drift {slope:.3g} +- {error:.3g} meV/atom/ns")
        if dt == min(TIME_STEPS_FS):
            assert abs(slope) < max(3.0 * error, 1.0)
