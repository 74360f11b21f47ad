"""The plugin in LAMMPS: whole steps of dynamics at constant energy, and forces at the first one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .process import Clock, Peak, RefusedError, run_program
from .python_engines import force_error
from .students import BenchStudent
from .systems import CELL_ATOMS, System

__all__ = ["JIT", "PRECISIONS", "TIME_STEP", "Lammps", "measure", "measure_rebuild", "set_up", "system_commands"]

PRECISIONS = ("fp64", "fp32", "tf32", "bf16", "fp16")
JIT = ("off", "script", "freeze", "aot")

TIME_STEP = 0.0005  # ps
WARM_UP = 10  # steps, besides the calls that the pair style makes before the first one
FEWEST_STEPS = 5
COMPARED = 512 * CELL_ATOMS  # atoms whose forces are compared, at most

SETUP = """\
pair_style      mlff precision {precision} jit {jit}
pair_coeff      * * "{student}" O H
neighbor        1.0 bin
timestep        {time_step}
thermo_style    custom step temp etotal
thermo_modify   norm no
"""

STEPS = """\
neigh_modify    every 1 delay 0 check yes
fix             motion all nve
group           compared id <= {compared}
dump            forces compared custom 1 forces.dump id fx fy fz
dump_modify     forces sort id format float %.17g
run             0
undump          forces
run             {warm_up}
timer           timeout {seconds} every {fewest}
run             100000000
"""

REBUILDS = """\
neigh_modify    every 1 delay 0 check no
fix             motion all nve
run             {warm_up}
run             {warm_up}
"""


@dataclass(frozen=True)
class Lammps:
    """How LAMMPS is started: the executable (None where there is none), the plugin's folder (None: LAMMPS finds it
    itself) and further words of its command line."""

    lmp: str | None
    plugin_dir: str | None
    flags: str

    @property
    def device(self) -> str:
        return "cuda" if re.search(r"(^| )-k(okkos)? on (.* )?g(pus)? [1-9]", self.flags) else "cpu"

    def run(self, script: str, folder: Path, clock: Clock) -> tuple[str, Peak]:
        """What LAMMPS printed, and its peak memory; its error is raised as `RefusedError`."""
        if self.lmp is None:
            raise RefusedError("expected a LAMMPS executable, found none. Name it with --lmp.")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "in.bench").write_text(script)
        environment = dict(os.environ)
        if self.plugin_dir is not None:
            environment["LAMMPS_PLUGIN_PATH"] = self.plugin_dir
        command = [self.lmp, *self.flags.split(), "-in", "in.bench", "-log", "none", "-nocite"]
        status, output, peak = run_program(command, folder, environment, clock, self.device == "cuda")
        if status != 0:
            raise RefusedError(error_of(output, status))
        return output, peak


def error_of(output: str, status: int) -> str:
    """LAMMPS's own words for why it stopped."""
    found = re.search(
        r"^(?:ERROR|terminate called|what\(\))[^\n]*(?:\n(?!Last|\s*$|For more|MPI_|---)[^\n]*)*", output, re.M
    )
    if found is not None:
        words = " ".join(found[0].split())
        return re.sub(r" \((src|[^ ()]*/)[^ ()]*:\d+\)", "", words)[:600]
    by = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    return f"LAMMPS {by} and gave no reason; its last words: {' '.join(output[-200:].split())}"


def system_commands(system: System, folder: Path) -> str:
    """Write the cell's data file into a folder; the commands that read it."""
    folder.mkdir(parents=True, exist_ok=True)
    system.write_data(folder / "cell.data")
    commands = "units           metal\natom_style      atomic\nread_data       cell.data\n"
    if system.copies != (1, 1, 1):
        commands += "replicate       {} {} {}\n".format(*system.copies)
    return commands + "velocity        all create 300 4711\n"


def set_up(student: BenchStudent, precision: str, jit: str) -> str:
    """The commands that choose the pair style."""
    return SETUP.format(precision=precision, jit=jit, student=student.file.resolve(), time_step=TIME_STEP)


def loops(output: str) -> list[tuple[float, int]]:
    """Seconds and steps of each run."""
    found = re.findall(r"^Loop time of (\S+) on \d+ procs for (\d+) steps", output, re.M)
    return [(float(seconds), int(steps)) for seconds, steps in found]


def read_forces(path: Path) -> np.ndarray:
    """Forces [atoms, 3] of a dump sorted by atom."""
    return np.loadtxt(path, skiprows=9, ndmin=2)[:, 1:4]


def measure(
    lammps: Lammps, student: BenchStudent, system: System, precision: str, jit: str, seconds: float,
    reference: np.ndarray, folder: Path, clock: Clock,
) -> dict[str, Any]:  # fmt: skip
    """The numbers of a row. A package that ``jit aot`` misses or refuses is compiled, and LAMMPS asked again."""
    compared = min(system.num_atoms, COMPARED)
    script = (
        system_commands(system, folder)
        + set_up(student, precision, jit)
        + STEPS.format(compared=compared, warm_up=WARM_UP, seconds=seconds, fewest=FEWEST_STEPS)
    )
    try:
        output, peak = lammps.run(script, folder, clock)
    except RefusedError as refusal:
        if jit != "aot" or ".pt2" not in str(refusal):
            raise
        student.compile(clock, lammps.device, precision, anew=True)
        output, peak = lammps.run(script, folder, clock)
    time, steps = loops(output)[-1]
    rebuilds = re.findall(r"^Neighbor list builds = (\d+)", output, re.M)
    return {
        "ms": 1e3 * time / steps,
        "atom_steps_per_s": system.num_atoms * steps / time,
        "calls": steps,
        "warm_up": f"{WARM_UP} steps after the pair style's own warm-up, discarded",
        "rebuilds": int(rebuilds[-1]) if rebuilds else None,
        "memory_MB": peak.megabytes,
        "memory_of": peak.of,
        "force_error": force_error(read_forces(folder / "forces.dump"), reference),
    }


def measure_rebuild(
    lammps: Lammps, student: BenchStudent, system: System, folder: Path, clock: Clock
) -> dict[str, Any]:
    """LAMMPS's time for the full list that the pair style asks for, at steps that all rebuild it."""
    script = system_commands(system, folder) + set_up(student, "fp32", "freeze") + REBUILDS.format(warm_up=WARM_UP)
    output, peak = lammps.run(script, folder, clock)
    seconds = [float(row) for row in re.findall(r"^Neigh +\|[^|]*\| *(\S+) *\|", output, re.M)]
    builds = [int(row) for row in re.findall(r"^Neighbor list builds = (\d+)", output, re.M)]
    return {
        "ms": 1e3 * seconds[-1] / builds[-1],
        "atom_steps_per_s": system.num_atoms * builds[-1] / seconds[-1],
        "calls": builds[-1],
        "warm_up": f"{WARM_UP} steps, discarded",
        "memory_MB": peak.megabytes,
        "memory_of": peak.of,
    }
