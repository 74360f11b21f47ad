"""What every command in tools/ does around its steps: options, log, the sentence on failure."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import debian, interruption, settings
from .failure import Failure
from .lammps import Lammps
from .progress import Progress, duration
from .python_venv import SharedVenv
from .shell import Shell
from .steps import Step


def parser(description: str) -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=description)
    result.add_argument(
        "--lammps-source", type=_path, help="LAMMPS tree of your own, which is then built into the cache"
    )
    result.add_argument("--lammps-build", type=_path, help="folder in which you built LAMMPS (with PLUGIN, shared MPI)")
    return result


def _path(text: str) -> Path:
    return Path(text).expanduser().resolve()


def ground_steps(lammps: Lammps, venv: SharedVenv, debian_packages: list[str]) -> list[Step]:
    """What stands before any build of the plugin."""
    return [
        Step("Debian packages", 60, lambda: not debian.missing_packages(debian_packages),
             lambda shell: debian.install_packages(shell, debian.missing_packages(debian_packages)), shared=True),
        venv.step(),
        *lammps.steps(venv.python),
    ]  # fmt: skip


def run(name: str, body: Callable[[Shell], bool]) -> int:
    """Run `body` with a log of its own; 0 when it returns True."""
    started = time.monotonic()
    log = settings.BUILD / f"{name}.log"
    log.unlink(missing_ok=True)
    progress = Progress()
    progress.line(f"full log: {log}; cache: {settings.cache_folder()}")
    shell = Shell(log, progress)
    interruption.install()
    again = "Start the same command again: it goes on where it stopped."
    try:
        good = body(shell)
    except Failure as failure:
        progress.line(f"\nLast lines of the log:\n{shell.tail()}\n")
        progress.line(f"FAILED after {duration(time.monotonic() - started)}: {failure}")
        progress.line(f"The whole log is {log}. {again}")
        return 1
    except KeyboardInterrupt:
        progress.line(f"\ninterrupted. {again}")
        return 130
    return 0 if good else 1


def main(name: str, body: Callable[[Shell], bool]) -> None:
    sys.exit(run(name, body))
