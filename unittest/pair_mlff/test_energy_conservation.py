"""Constant-energy dynamics in fp64: the error of the integrator falls as dt^2, and nothing drifts.

Velocity Verlet conserves a shadow energy that differs from the true one by O(dt^2); any error in the forces (a
gradient that is not that of the energy, a jump at the cutoff) adds a part that does not fall as dt^2, or a drift.
The start is equilibrated: as long as potential energy turns into heat, that O(dt^2) difference has a trend of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps, write_data
from mlff.dynamics import water_box

TIME_STEPS_FS = (0.125, 0.25, 0.5)
STUDENT = Path(__file__).parent.parent.parent / "potentials" / "water-small.pt"
NUM_MOLECULES = 16
NUM_ATOMS = 3 * NUM_MOLECULES

START = """
units           metal
read_data       data.test
pair_style      mlff precision fp64
pair_coeff      * * {student} O H
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
pair_coeff      * * {student} O H
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


def drift(time: np.ndarray, energy: np.ndarray, blocks: int = 5) -> tuple[float, float]:
    """Slope of the energy in time with its standard error from the means of blocks of what is left over.

    Blocks of 0.2 ps: the O(dt^2) difference of the two energies follows the potential energy, which is correlated for
    some 0.1 ps in liquid water; shorter blocks would count the same fluctuation several times.
    """
    slope = np.polyfit(time, energy, 1)[0]
    residual = energy - np.polyval(np.polyfit(time, energy, 1), time)
    means = np.array([block.mean() for block in np.array_split(residual, blocks)])
    centers = np.array([block.mean() for block in np.array_split(time, blocks)])
    spread = np.sqrt((means**2).sum() / (blocks - 2))
    return slope, spread / np.sqrt(((centers - centers.mean()) ** 2).sum())


@pytest.fixture(scope="module")
def energies(lammps: Lammps, tmp_path_factory: pytest.TempPathFactory) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """dt -> times (ps) and total energies (eV) over 1 ps of liquid water from one start."""
    folder = tmp_path_factory.mktemp("nve")
    x, edge = water_box(NUM_MOLECULES, 1.0, np.random.default_rng(5))
    write_data(folder / "data.test", edge * np.eye(3), np.tile([1, 2, 2], NUM_MOLECULES), x % edge, [15.999, 1.008])
    lammps.run(folder, START.format(student=STUDENT))
    result = {}
    for dt in TIME_STEPS_FS:
        script = DYNAMICS.format(student=STUDENT, dt=dt * 1e-3, every=round(1.0 / dt), steps=round(1000 / dt))
        thermo = lammps.run(folder, script).thermo
        result[dt] = thermo["Step"] * dt * 1e-3, thermo["TotEng"]
    return result


def test_fluctuation_falls_as_time_step_squared(energies: dict[float, tuple[np.ndarray, np.ndarray]]) -> None:
    fluctuation = [energies[dt][1].std() for dt in TIME_STEPS_FS]
    slope = np.polyfit(np.log(TIME_STEPS_FS), np.log(fluctuation), 1)[0]
    print(f"fluctuation (eV) {fluctuation}, slope {slope:.3f}")
    assert 1.8 < slope < 2.2


def test_no_drift(energies: dict[float, tuple[np.ndarray, np.ndarray]]) -> None:
    """Asserted at the smallest step, where the integrator's own error is least; an error of the forces would remain."""
    drifts = {dt: [1e6 * value / NUM_ATOMS for value in drift(*energies[dt])] for dt in TIME_STEPS_FS}  # meV/atom/ns
    for dt, (slope, error) in drifts.items():
        print(f"dt {dt} fs: drift {slope:.3g} +- {error:.3g} meV/atom/ns")
    slope, error = drifts[min(TIME_STEPS_FS)]
    assert abs(slope) < max(3.0 * error, 1.0)
