"""A plugin that was compiled for another LAMMPS says so and registers nothing, and LAMMPS goes on without it.

The misfits are mlffplugin.so, compiled against another version.h, with the other integer sizes, with LAMMPS's MPI
stubs, or said to be for another LibTorch; each of them loads without a word from LAMMPS itself.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from lammps_run import Lammps

SENTENCE = {
    "version": "compiled for LAMMPS version 20230802, this LAMMPS has 20",
    "sizes": "compiled for atom IDs (tagint) of ",
    "mpi": "compiled for MPI off, this LAMMPS has on",
    "libtorch": "compiled for LibTorch 2.7.0.misfit, this process has 2.",
}
CRYSTAL = """
lattice fcc {lattice}
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
mass 1 {mass}
"""
GOES_ON = f"""
plugin list
{CRYSTAL.format(lattice=1.5, mass=1.0)}
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0
run 2
"""


@pytest.fixture(scope="module")
def misfits(config: dict[str, str]) -> dict[str, Path]:
    """Plugin by setting that does not fit."""
    folder = Path(config["test_plugin_dir"]) / "misfits"
    found = {path.name.removeprefix("mlff").removesuffix("plugin.so"): path for path in folder.glob("mlff*plugin.so")}
    expected = {"version", "sizes"} | ({"mpi"} if config["mpirun"] else set())
    expected |= {"libtorch"} if config["libtorch"] else set()
    assert set(found) == expected
    return found


def test_misfits_are_refused_with_a_sentence_and_lammps_goes_on(
    lammps: Lammps, misfits: dict[str, Path], tmp_path: Path
) -> None:
    plain = Lammps(lammps.lmp, lammps.mpirun, "", "")
    for setting, path in misfits.items():
        folder = tmp_path / setting
        run = plain.run(folder, f"plugin load {path}\n" + GOES_ON)
        assert run.log.count("pair_style mlff is not registered") == 1
        assert SENTENCE[setting] in run.log
        advice = {"libtorch": "or build the plugin with -D MLFF_LIBTORCH of that torch."}
        rebuild = "Build the plugin with -D LAMMPS_SOURCE_DIR and -D LAMMPS_BUILD_DIR of this LAMMPS."
        assert advice.get(setting, rebuild) in run.log
        assert "Currently loaded plugins" in run.log and "style plugin" not in run.log
        assert len(run.thermo["Step"]) == 2
        assert SENTENCE[setting] in (folder / "log.test").read_text()

        stopped = plain.run(folder, f"plugin load {path}\npair_style mlff\n", fails=True)
        assert "Unrecognized pair style 'mlff'" in stopped.log


def test_found_by_lammps_plugin_path_each_misfit_says_so_once_on_two_ranks(
    lammps: Lammps, misfits: dict[str, Path], tmp_path: Path
) -> None:
    folder = next(iter(misfits.values())).parent
    ranks = 2 if lammps.mpirun else 1
    run = Lammps(lammps.lmp, lammps.mpirun, str(folder), "").run(tmp_path, GOES_ON, ranks=ranks)
    assert run.log.count("pair_style mlff is not registered") == len(misfits)
    assert "Currently loaded plugins" in run.log and "style plugin" not in run.log
    assert len(run.thermo["Step"]) == 2


def test_the_fitting_plugin_registers_beside_a_misfit(lammps: Lammps, misfits: dict[str, Path], tmp_path: Path) -> None:
    run = lammps.run(tmp_path, f"plugin load {misfits['sizes']}\nplugin list\npair_style mlff\n")
    assert "pair style plugin mlff" in run.log


def test_the_installed_plugin_loads_from_another_folder(lammps: Lammps, config: dict[str, str], tmp_path: Path) -> None:
    prefix = tmp_path / "moved"
    command = ["cmake", "--install", config["build_dir"], "--prefix", tmp_path / "prefix"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (tmp_path / "prefix").rename(prefix)
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    (tmp_path / "in.test").write_text("plugin list\npair_style mlff\n")
    result = subprocess.run(
        [lammps.lmp, "-in", "in.test"],
        cwd=tmp_path,
        env={**environment, "LAMMPS_PLUGIN_PATH": str(prefix / "lib" / "mlff")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "pair style plugin mlff" in result.stdout


def test_a_missing_kokkos_variant_is_said(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    """LAMMPS takes the style for CPUs without a word; not where the input switches the suffix off."""
    if "KOKKOS" not in subprocess.run([lammps.lmp, "-h"], capture_output=True, text=True).stdout:
        pytest.skip("this LAMMPS has no package KOKKOS")
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "mlffplugin.so").symlink_to(Path(lammps.plugin_dir) / "mlffplugin.so")
    for suffix, said in (("suffix on", True), ("suffix off", False)):
        alone = Lammps(lammps.lmp, None, str(plugins), "", ("-k", "on", "t", "1", "-sf", "kk"), falls_back=said)
        script = f"""
        units metal
        {CRYSTAL.format(lattice=6.0, mass=16.0)}
        {suffix}
        pair_style mlff check off
        pair_coeff * * {gentle_student} O
        run 0
        """
        run = alone.run(tmp_path / suffix, script)
        assert said == (
            "expected mlff/kk for the suffix 'kk', found the style for CPUs alone. Build mlffkkplugin.so "
            "(-D MLFF_BUILD_KOKKOS=ON)" in " ".join(run.log.split())
        )
