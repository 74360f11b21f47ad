"""Runs LAMMPS on a written input and reads what it printed."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

TIMEOUT = 900  # seconds, for a run of some minutes on a busy machine


@dataclass
class Run:
    """A finished run: its log, the rows of the last thermo table by column, and dumps by step (sorted by atom id)."""

    returncode: int
    log: str
    thermo: dict[str, np.ndarray] = field(default_factory=dict)
    dump: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)

    def number(self, pattern: str) -> float:
        """The number that the first group of `pattern` finds in the log."""
        match = re.search(pattern, self.log)
        assert match, f"expected {pattern!r} in the log, found:\n{self.log[-3000:]}"
        return float(match.group(1))


@dataclass(frozen=True)
class Lammps:
    """How to start LAMMPS with the plugin under test."""

    lmp: str
    mpirun: str | None
    plugin_dir: str
    test_plugin_dir: str
    flags: tuple[str, ...] = ()  # for every run
    falls_back: bool = False  # the variant for Kokkos, which flags ask for, is missing on purpose

    @property
    def num_threads(self) -> int:
        """Of a rank, as '-k on t N' among the flags says."""
        return int(self.flags[self.flags.index("t") + 1]) if "t" in self.flags else 1

    @property
    def device(self) -> str:
        """As a compiled student's file name has it: 'cuda' for '-k on g N' among the flags."""
        return "cuda" if "g" in self.flags else "cpu"

    @property
    def has_full_list(self) -> bool:
        """Kokkos's default on GPUs."""
        return "full" in self.flags or (self.device == "cuda" and "half" not in self.flags)

    def newton(self, wanted: str) -> str:
        """As the input may say it: Kokkos's full lists allow 'off' alone."""
        return "off" if self.has_full_list else wanted

    def newton_of_pairs(self, wanted: str) -> str:
        """The same with a second word, for bonds, that is what it is: LAMMPS does not let it change beside a box."""
        return f"{self.newton(wanted)} {'off' if self.has_full_list else 'on'}"

    @property
    def device_in_log(self) -> str:
        """A pattern."""
        return "NVIDIA" if self.device == "cuda" else f"CPU, {self.num_threads} thread"

    def run(
        self, folder: Path, script: str, ranks: int = 1, fails: bool | None = False, arguments: tuple[str, ...] = ()
    ) -> Run:
        """Runs `script` in `folder` on `ranks` ranks, with further `arguments` for lmp; a dump named `dump.txt` is read
        when there is one.

        `fails` is what is expected; None: the caller looks.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "in.test").write_text(script)
        command = [self.lmp, *self.flags, "-in", "in.test", "-log", "log.test", *arguments]
        if ranks > 1:
            assert self.mpirun, "expected mpirun for a test on several ranks, found none"
            # ranks that wait give their core away: with 2 ranks that is up to half of the processor's time
            mpirun = [self.mpirun, "--allow-run-as-root", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1"]
            command = [*mpirun, "-np", str(ranks), *command]
        environment = {
            **os.environ,
            "LAMMPS_PLUGIN_PATH": self.plugin_dir,
            "OMP_NUM_THREADS": str(self.num_threads),
            "OMP_PROC_BIND": "false",
            "OMP_WAIT_POLICY": "passive",  # tests share their cores
        }
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
        log = result.stdout + result.stderr
        assert ("found the style for CPUs alone" in " ".join(log.split())) == self.falls_back, (
            f"expected mlff/kk:\n{log[-4000:]}"
        )
        if fails:
            assert result.returncode != 0, (
                f"expected LAMMPS to stop with an error, found a finished run:\n{log[-3000:]}"
            )
        elif fails is False:
            assert result.returncode == 0, f"LAMMPS stopped:\n{log[-4000:]}"
        return read_run(folder, log, result.returncode)

    def run_each(self, folder: Path, scripts: dict[str, str], ranks: int = 1) -> dict[str, Run]:
        """Runs each script in a folder of its own, `folder`/name, but all in one process, with `clear` between them: a
        process takes most of a second a rank to start.

        A log of `Run` is what LAMMPS writes into its log file: without warnings of MPI or a crash.
        """
        parts = []
        for name, script in scripts.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            parts.append(f"shell cd {folder.resolve() / name}\nlog log.test\n{script}\n")
        self.run(folder, "clear\n".join(parts), ranks)
        return {name: read_run(folder / name, (folder / name / "log.test").read_text()) for name in scripts}


def read_run(folder: Path, log: str, returncode: int = 0) -> Run:
    dump = folder / "dump.txt"
    return Run(returncode, log, read_thermo(log), read_dump(dump) if dump.exists() else {})


def read_thermo(log: str) -> dict[str, np.ndarray]:
    """The last thermo table of a log in one-line style."""
    return next(reversed(read_tables(log)), {})


def read_tables(log: str) -> list[dict[str, np.ndarray]]:
    """All thermo tables of a log in one-line style, without empty ones."""
    tables: list[tuple[list[str], list[list[float]]]] = []
    inside = False
    for line in log.splitlines():
        words = line.split()
        if words[:1] == ["Step"]:
            tables.append((words, []))
            inside = True
        elif inside and line.startswith("Loop time"):
            inside = False
        elif inside and len(words) == len(tables[-1][0]):
            try:
                tables[-1][1].append([float(word) for word in words])
            except ValueError:
                continue
    return [{name: np.array(rows)[:, i] for i, name in enumerate(columns)} for columns, rows in tables if rows]


def read_dump(path: Path) -> dict[int, dict[str, np.ndarray]]:
    """A `dump custom` file: step -> column -> values sorted by atom id."""
    frames: dict[int, dict[str, np.ndarray]] = {}
    lines = path.read_text().splitlines()
    position = 0
    while position < len(lines):
        step, count = int(lines[position + 1]), int(lines[position + 3])
        columns = lines[position + 8].split()[2:]
        table = np.array([line.split() for line in lines[position + 9 : position + 9 + count]], dtype=float)
        table = table.reshape(count, len(columns))
        table = table[np.argsort(table[:, columns.index("id")])]
        frames[step] = {name: table[:, i] for i, name in enumerate(columns)}
        position += 9 + count
    return frames


def vectors(frame: dict[str, np.ndarray], prefix: str) -> np.ndarray:
    """Columns `prefix`x, y, z of a dump as [atoms, 3]."""
    return np.stack([frame[prefix + axis] for axis in "xyz"], axis=1)


def force_difference(a: np.ndarray, b: np.ndarray) -> float:
    """max |dF| / rms F, the measure of all comparisons of forces."""
    return float(np.abs(a - b).max() / np.sqrt((b**2).mean()))


def write_data(path: Path, cell: np.ndarray, types: np.ndarray, positions: np.ndarray, masses: list[float]) -> None:
    """A LAMMPS data file; `cell` is lower triangular (rows a, b, c) with origin 0."""
    lines = ["test system", "", f"{len(types)} atoms", f"{len(masses)} atom types", ""]
    for axis, name in enumerate("xyz"):
        lines.append(f"0 {float(cell[axis, axis])!r} {name}lo {name}hi")
    tilt = [float(cell[1, 0]), float(cell[2, 0]), float(cell[2, 1])]
    if any(tilt):
        lines.append(f"{tilt[0]!r} {tilt[1]!r} {tilt[2]!r} xy xz yz")
    lines += ["", "Masses", "", *(f"{i + 1} {mass}" for i, mass in enumerate(masses)), "", "Atoms # atomic", ""]
    for i, (kind, x) in enumerate(zip(types, positions, strict=True)):
        lines.append(f"{i + 1} {int(kind)} {float(x[0])!r} {float(x[1])!r} {float(x[2])!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def scattered_points(
    rng: np.random.Generator, count: int, low: np.ndarray, high: np.ndarray, apart: float
) -> np.ndarray:
    """Points in a box, no two nearer than `apart` (without images)."""
    points: list[np.ndarray] = []
    while len(points) < count:
        point = low + (high - low) * rng.random(3)
        if all(np.linalg.norm(point - other) > apart for other in points):
            points.append(point)
    return np.array(points)
