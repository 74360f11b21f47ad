"""On one rank, steady steps without output leave all data on the GPU: no copy above 256 bytes to or from it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from lammps_run import Lammps

ROOT = Path(__file__).parent.parent.parent
LARGEST = 256  # bytes: counts, sums of an energy or a virial


def copies(lammps: Lammps, folder: Path, steps: int, pattern: str) -> Counter[str]:
    """Copies above LARGEST by what they are, in a run of `steps` steps."""
    script = f"""
    units           metal
    read_data       {ROOT}/examples/water/water.data
    replicate       2 2 2
    pair_style      mlff check off
    pair_coeff      * * {ROOT}/potentials/water-small.pt O H
    neighbor        2.0 bin
    neigh_modify    every 1000 delay 1000 check no
    velocity        all create 300 4711 loop geom
    fix             1 all nve
    timestep        0.0005
    thermo          1000
    run             {steps}
    """
    log = lammps.run(folder, script).log
    found = Counter({what: int(count) for what, count, size in re.findall(pattern, log, re.M) if int(size) > LARGEST})
    assert found, f"expected copies at setup at least, found none: is the library loaded?\n{log[-2000:]}"
    return found


def test_kokkos_copies_nothing_large(
    lammps: Lammps, tmp_path: Path, config: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOKKOS_TOOLS_LIBS", f"{config['test_plugin_dir']}/libcopies_kokkos.so")
    pattern = r"^COPY (.*): (\d+) of (\d+)$"
    few, many = (copies(lammps, tmp_path / str(steps), steps, pattern) for steps in (50, 250))
    assert many - few == Counter()


def test_cuda_copies_nothing_large(
    lammps: Lammps, tmp_path: Path, config: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of the whole process, with LibTorch in it."""
    monkeypatch.setenv("CUDA_INJECTION64_PATH", f"{config['test_plugin_dir']}/libcopies_cupti.so")
    pattern = r"^CUDA ((?:host|device) to \w+): (\d+) of (\d+)$"
    few, many = (copies(lammps, tmp_path / str(steps), steps, pattern) for steps in (50, 250))
    assert many - few == Counter()
