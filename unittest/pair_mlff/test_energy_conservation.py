"""Constant-energy dynamics in fp64: the error of the integrator falls as dt^2, and nothing drifts.

Velocity Verlet conserves a shadow energy that differs from the true one by O(dt^2),

    H + dt^2 (d^2V/dt^2 / 12 + sum_i |F_i|^2 / m_i / 24) + O(dt^4)

(Hairer, Lubich, Wanner, Geometric Numerical Integration, IX.3; v V'' v = d^2V/dt^2 + sum |F|^2 / m). Any error in the
forces (a gradient that is not that of the energy, a jump at the cutoff) adds a part that does not fall as dt^2, or a
drift. The drift is that of the shadow energy: the true one goes up and down with the temperature for picoseconds, by
more than a drift that matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps, write_data
from mlff.dynamics import drift, water_box

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
variable        fa atom (fx^2+fy^2+fz^2)/mass*9648.533212   # F^2/m in eV/ps^2
compute         fa all reduce sum v_fa
thermo          1
thermo_style    custom step etotal pe c_fa
thermo_modify   format float %.16g norm no
run             {steps}
"""


@dataclass
class Trajectory:
    """Of one time step: times (ps), true and shadow energies (eV)."""

    time: np.ndarray
    energy: np.ndarray
    shadow: np.ndarray

    def drift(self) -> tuple[float, float]:
        """Of the shadow energy, meV/atom/ns, with its standard error from 20 blocks."""
        return drift(self.time, self.shadow, NUM_ATOMS)


@pytest.fixture(scope="module")
def trajectories(lammps: Lammps, tmp_path_factory: pytest.TempPathFactory) -> dict[float, Trajectory]:
    """1 ps of liquid water from one start, for each time step (fs)."""
    folder = tmp_path_factory.mktemp("nve")
    x, edge = water_box(NUM_MOLECULES, 1.0, np.random.default_rng(5))
    write_data(folder / "data.test", edge * np.eye(3), np.tile([1, 2, 2], NUM_MOLECULES), x % edge, [15.999, 1.008])
    lammps.run(folder, START.format(student=STUDENT))
    result = {}
    for dt in TIME_STEPS_FS:
        script = DYNAMICS.format(student=STUDENT, dt=dt * 1e-3, steps=round(1000 / dt))
        thermo = lammps.run(folder, script).thermo
        potential, squares = thermo["PotEng"], thermo["c_fa"][1:-1] * (dt * 1e-3) ** 2
        second = potential[2:] - 2 * potential[1:-1] + potential[:-2]  # dt^2 d^2V/dt^2
        energy = thermo["TotEng"][1:-1]
        result[dt] = Trajectory(thermo["Step"][1:-1] * dt * 1e-3, energy, energy + second / 12 + squares / 24)
    return result


def test_fluctuation_falls_as_time_step_squared(trajectories: dict[float, Trajectory]) -> None:
    fluctuation = [trajectories[dt].energy.std() for dt in TIME_STEPS_FS]
    slope = np.polyfit(np.log(TIME_STEPS_FS), np.log(fluctuation), 1)[0]
    print(f"fluctuation (eV) {fluctuation}, slope {slope:.3f}")
    assert 1.8 < slope < 2.2


def test_no_drift(trajectories: dict[float, Trajectory]) -> None:
    """Consistent with zero, or below 1 meV/atom/ns, at the smallest step, where the integrator's own error is least.

    Consistent: within 3.9 standard errors, Student's t for a chance of 0.1 % with 18 degrees of freedom (20 blocks,
    two fitted). With a cone in the energy (norm_epsilon 1e-8, decision 7) the drift at 0.25 fs was 14 meV/atom/ns.
    """
    for dt, trajectory in trajectories.items():
        print(f"dt {dt} fs: drift {trajectory.drift()} meV/atom/ns")
    slope, error = trajectories[min(TIME_STEPS_FS)].drift()
    assert abs(slope) < max(3.9 * error, 1.0)
