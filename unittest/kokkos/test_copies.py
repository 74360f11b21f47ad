"""On one rank, in steady steps without output, all data stay on the GPU and the host waits for it once, for counts."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from lammps_run import Lammps

ROOT = Path(__file__).parent.parent.parent
LARGEST = 256  # bytes: counts, sums of an energy or a virial
FEW_AND_MANY = (50, 250)  # steps; what a step does is in the difference


def log_of(lammps: Lammps, folder: Path, steps: int) -> str:
    """What a run of `steps` steps says, the lines of a library that counts among it."""
    script = f"""
    units           metal
    read_data       {ROOT}/examples/water/water.data
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
    return lammps.run(folder, script).log


def copies(lammps: Lammps, folder: Path, steps: int, pattern: str) -> Counter[str]:
    """Copies above LARGEST by what they are."""
    log = log_of(lammps, folder, steps)
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
    if lammps.device != "cuda":
        pytest.skip("no GPU")
    monkeypatch.setenv(variable, f"{config['test_plugin_dir']}/{library}")
    few, many = (copies(lammps, tmp_path / str(steps), steps, pattern) for steps in FEW_AND_MANY)
    assert many - few == Counter()


def test_the_host_waits_once(
    lammps: Lammps, tmp_path: Path, config: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the copy of the counts, before and after which Kokkos waits; not for fills nor for sums."""
    monkeypatch.setenv("KOKKOS_TOOLS_LIBS", f"{config['test_plugin_dir']}/libcopies_kokkos.so")

    def waits(steps: int) -> Counter[str]:
        log = log_of(lammps, tmp_path / str(steps), steps)
        return Counter({name: int(count) for name, count in re.findall(r"^FENCE (.*): (\d+)$", log, re.M)})

    few, many = (waits(steps) for steps in FEW_AND_MANY)
    a_step = {name: count / (FEW_AND_MANY[1] - FEW_AND_MANY[0]) for name, count in (many - few).items()}
    print(f"waits a step, LAMMPS's own among them: {a_step}")
    by_copies = {name: count for name, count in a_step.items() if name.startswith("Kokkos::deep_copy")}
    assert by_copies and set(by_copies.values()) == {1.0}, "one copy"
    assert not [name for name in a_step if "scalar copy" in name], "fills that the host waits for"
    assert not [name for name in a_step if "result" in name.lower()], "sums that the host waits for"
