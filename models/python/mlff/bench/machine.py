"""Where and with what rows are measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from .lammps_engine import Lammps
from .process import Clock, RefusedError, gpu_query, in_child

__all__ = ["describe"]


def describe(lammps: Lammps, device: str, commit: str | None, clock: Clock) -> dict[str, Any]:
    """Machine, versions and commit, for the head of a file of results."""
    try:
        torch = in_child(clock, torch_versions)
    except RefusedError as error:
        torch = {"torch": f"not usable: {error}"}
    threads = torch.pop("threads", None)
    gpus = [row[0] for row in gpu_query("--query-gpu=name")]
    drivers = [row[0] for row in gpu_query("--query-gpu=driver_version")]
    return {
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "memory_GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
            "gpu": ", ".join(gpus) if device == "cuda" else None,
            "gpu_driver": drivers[0] if drivers and device == "cuda" else None,
            "system": f"{platform.system()} {platform.release()}",
            "threads": threads,
        },
        "versions": {
            "mlff": __version__,
            "python": platform.python_version(),
            **torch,
            **{name: package_version(name) for name in ("numpy", "matscipy", "torch_cluster")},
            "lammps": lammps_version(lammps),
        },
        "commit": commit or git_commit(),
    }


def torch_versions() -> dict[str, Any]:
    import torch

    return {"torch": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads()}


def processor() -> str:
    """Its name as Linux gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def package_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def lammps_version(lammps: Lammps) -> str | None:
    from ..doctor import CheckError, ask_lammps

    if lammps.lmp is None:
        return None
    try:
        return ask_lammps(lammps.lmp).version
    except CheckError as error:
        return f"not usable: {error}"


def git_commit() -> str | None:
    """Of the checkout that this package lies in."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return result.stdout.strip() or None
