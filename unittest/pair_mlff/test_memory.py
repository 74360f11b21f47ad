"""Memory stays flat: what the first steps of a run use is what all of them use."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from lammps_run import Lammps, scattered_points, write_data

STEPS = 10000


def test_flat_over_many_steps(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x = scattered_points(rng, 24, np.zeros(3), np.full(3, 7.0), 1.6)
    write_data(tmp_path / "data.test", 7.5 * np.eye(3), rng.integers(1, 3, 24), x, [1.008, 15.999])
    log = lammps.run(
        tmp_path,
        f"""
        units metal
        read_data data.test
        pair_style mlff
        pair_coeff * * {gentle_student} H O
        neighbor 0.5 bin
        neigh_modify every 1 delay 0 check yes
        velocity all create 300 4711
        fix 1 all nve
        fix 2 all langevin 300 300 0.05 8151
        timestep 0.0005
        run {STEPS // 10}
        info memory
        run {STEPS}
        info memory
        """,
    ).log
    early, late = (float(value) for value in re.findall(r"Maximum resident set size: +([\d.]+)", log))
    # a leak of one edge-sized tensor a step would be gigabytes; one of one number a row, some megabytes
    assert late - early < 2.0, f"resident memory grew from {early} to {late} Mbyte"
