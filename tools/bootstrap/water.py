"""The main job: bulk water through the plugin, and a picture of its O-O radial distribution."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from . import settings
from .failure import Failure
from .plugin import PluginBuild
from .shell import Shell
from .steps import Step

EXAMPLE = settings.CHECKOUT / "examples" / "water"
POTENTIALS = settings.CHECKOUT / "potentials"
RESULTS = settings.BUILD / "water"


class Water:
    def __init__(self, build: PluginBuild, ranks: int) -> None:
        self.build, self.venv, self.ranks = build, build.venv, ranks
        self.picture = RESULTS / "rdf.png"
        self.stamp = RESULTS / "finished"

    def steps(self) -> list[Step]:
        return [
            Step("check-up (mlff doctor)", 5, self._is_checked, self._check),
            Step("bulk water in LAMMPS", 120, self._is_run, self._run),
            Step("picture", 5, self._is_drawn, self._draw),
        ]

    # ---- check-up
    def _is_checked(self) -> bool:
        return self._is_run()

    def _check(self, shell: Shell) -> None:
        command: list[str | Path] = [self.venv.mlff, "doctor", self.build.lammps.lmp, "--plugin", self.build.plugin]
        status, output = shell.run(command, may_fail=True)
        if status:
            raise Failure(f"mlff doctor found a fault; its own words:\n{output.strip()}")

    # ---- the run
    def _key(self) -> str:
        """Changes with anything that the run depends on."""
        digest = hashlib.sha256(f"{self.ranks} {self.build.lammps.lmp}".encode())
        results = {".png", ".pyc"}
        inputs = [path for path in sorted(EXAMPLE.iterdir()) if path.is_file() and path.suffix not in results]
        for path in [*inputs, *sorted(POTENTIALS.glob("*.pt")), self.build.plugin]:
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _is_run(self) -> bool:
        return self.build.is_done() and self.stamp.exists() and self.stamp.read_text() == self._key()

    def _run(self, shell: Shell) -> None:
        script = EXAMPLE / "in.water"
        RESULTS.mkdir(parents=True, exist_ok=True)
        self.stamp.unlink(missing_ok=True)
        self.picture.unlink(missing_ok=True)
        command: list[str | Path] = [self.build.lammps.lmp, "-in", script.name, "-log", RESULTS / "log.lammps"]
        command += ["-var", "out", RESULTS, "-nb"]
        if self.ranks > 1:
            as_root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
            crowded = ["--oversubscribe"] if self.ranks > settings.cores() else []
            command = ["mpirun", *as_root, *crowded, "-np", str(self.ranks), *command]
        environment = {"LAMMPS_PLUGIN_PATH": str(self.build.folder), "LAMMPS_POTENTIALS": str(POTENTIALS)}
        environment["OMP_NUM_THREADS"] = str(max(1, settings.cores() // self.ranks))
        total = re.search(r"^variable\s+steps\s+(?:index|equal)\s+(\d+)", script.read_text(), re.MULTILINE)
        show = Thermo(int(total[1]) if total else 0, shell.progress.line)
        status, output = shell.run(command, fraction=show, folder=EXAMPLE, environment=environment, may_fail=True)
        if status:
            errors = [line for line in output.splitlines() if line.startswith("ERROR")]
            raise Failure(f"LAMMPS ended with status {status}: {errors[0] if errors else 'see the log'}")
        self.stamp.write_text(self._key())

    # ---- the picture
    def _is_drawn(self) -> bool:
        return self._is_run() and self.picture.exists()

    def _draw(self, shell: Shell) -> None:
        shell.run([self.venv.python, EXAMPLE / "plot_rdf.py", RESULTS])
        if not self.picture.exists():
            raise Failure(f"Expected a picture {self.picture}, found none; see the log.")


class Thermo:
    """Shows the lines of thermo output and reads from them how far the run is."""

    def __init__(self, total: int, show: Callable[[str], None]) -> None:
        self.total, self.show = total, show

    def __call__(self, line: str) -> float | None:
        if re.match(r"\s*Step\s", line):
            self.show(line)
        found = re.match(r"\s*(\d+)(\s+-?[\d.]+(e[-+]\d+)?)+\s*$", line)
        if not found:
            return None
        self.show(line)
        return int(found[1]) / self.total if self.total else None
