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


# The variable that loads a library which counts copies, the library, and its lines: Kokkos's own copies, and those of
# the whole process, with LibTorch in it.
COUNTERS = [
    pytest.param("KOKKOS_TOOLS_LIBS", "libcopies_kokkos.so", r"^COPY (.*): (\d+) of (\d+)$", id="kokkos"),
    pytest.param(
        "CUDA_INJECTION64_PATH",
        "libcopies_cupti.so",
        r"^CUDA ((?:host|device) to \w+): (\d+) of (\d+)$",
        id="cuda",
    ),
]


@pytest.mark.parametrize(("variable", "library", "pattern"), COUNTERS)
def test_nothing_large_is_copied(
    lammps: Lammps,
    tmp_path: Path,
    config: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    library: str,
    pattern: str,
) -> None:
    monkeypatch.setenv(variable, f"{config['test_plugin_dir']}/{library}")
    few, many = (copies(lammps, tmp_path / str(steps), steps, pattern) for steps in (50, 250))
    assert many - few == Counter()
