"""Drift of the total energy at constant energy, in each precision: the slope of a line through it, with its error.

A run leaves restart files, so that one which was stopped goes on. Its rows (step, K, eV) are appended; those that a
resumed run writes once more count once.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from .lammps_engine import TIME_STEP, Lammps, set_up, system_commands
from .process import Clock, RefusedError
from .students import BenchStudent
from .systems import System

__all__ = ["measure"]

EQUILIBRATION = 2000  # steps
EVERY = 20  # steps between samples
FEWEST_SAMPLES = 20  # as many as the estimator has blocks

SCRIPT = """\
neigh_modify    every 1 delay 0 check yes
thermo          0
restart         500 state.*.restart
variable        step equal step
variable        kelvin equal temp
variable        total equal etotal
fix             rows all print {every} "${{step}} ${{kelvin}} ${{total}}" append rows.txt screen no title "# step K eV"
fix             motion all nvt temp 300 300 0.1
if "$(step) < {equilibration}" then "run {equilibration} upto"
unfix           motion
fix             motion all nve
run             {last} upto
"""


def measure(
    lammps: Lammps,
    student: BenchStudent,
    system: System,
    precision: str,
    jit: str,
    picoseconds: float,
    folder: Path,
    clock: Clock,
) -> dict[str, Any]:
    """The numbers of a row."""
    from ..dynamics import drift

    last = EQUILIBRATION + round(picoseconds / TIME_STEP)
    start = system_commands(system, folder)
    if any(folder.glob("state.*.restart")):
        start = "read_restart    state.*.restart\n"
    script = start + set_up(student, precision, jit)
    script += SCRIPT.format(every=EVERY, equilibration=EQUILIBRATION, last=last)
    _, peak = lammps.run(script, folder, clock.for_long_rows())
    rows = {step: (kelvin, total) for step, kelvin, total in np.loadtxt(folder / "rows.txt").tolist()}
    steps = np.array(sorted(step for step in rows if step > EQUILIBRATION))
    if len(steps) < FEWEST_SAMPLES:
        raise RefusedError(
            f"expected {FEWEST_SAMPLES} samples or more, {EVERY} steps apart, found {len(steps)}. Give "
            "--drift-picoseconds a larger number."
        )
    kelvin, total = np.array([rows[step] for step in steps]).T
    time = (steps - EQUILIBRATION) * TIME_STEP
    slope, error = drift(time, total, system.num_atoms)
    shutil.rmtree(folder)
    return {
        "calls": len(steps) * EVERY,
        "warm_up": f"{EQUILIBRATION} steps at 300 K, discarded",
        "memory_MB": peak.megabytes,
        "memory_of": peak.of,
        "drift_eV_per_atom_per_ns": slope / 1000,
        "drift_error_eV_per_atom_per_ns": error / 1000,
        "picoseconds": float(time[-1]),
        "mean_temperature_K": float(kelvin.mean()),
    }
