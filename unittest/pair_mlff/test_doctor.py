"""`mlff doctor` passes the build under test, and each fault that it looks for is found, named and given advice."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from mlff import doctor as module
from mlff.doctor import Finding, doctor, libtorch_version, mpi_family, parse_help, parse_ldd

HELP = """
Large-scale Atomic/Molecular Massively Parallel Simulator - 4 Jul 2026 - Update 2

MPI v3.1: Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4

KOKKOS package API: OpenMP Serial
KOKKOS package precision: double
Kokkos library version: 5.0.2

-DLAMMPS_GZIP
-DLAMMPS_SMALLBIG

Installed packages:

EXTRA-FIX KOKKOS MC
PLUGIN REPLICA

List of individual style options included in this LAMMPS executable
"""


@pytest.fixture(scope="module")
def plugin(config: dict[str, str]) -> Path:
    return Path(config["plugin_dir"]) / "mlffplugin.so"


def only_fault(findings: list[Finding]) -> Finding:
    faults = [finding for finding in findings if finding.is_fault]
    assert len(faults) == 1, "\n".join(map(str, findings))
    return faults[0]


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def altered(plugin: Path, folder: Path, old: str, new: str) -> Path:
    """The plugin with another setting in its bytes; its code stays as it is."""
    content = plugin.read_bytes()
    assert len(old) == len(new) and content.count(old.encode()) == 1
    path = folder / "mlffplugin.so"
    path.write_bytes(content.replace(old.encode(), new.encode()))
    return path


# ---------------------------------------------------------------- the build under test


def test_the_build_under_test_has_no_fault(config: dict[str, str], plugin: Path) -> None:
    findings = doctor(config["lmp"], plugin)
    assert not [str(finding) for finding in findings if finding.is_fault]
    subjects = ["LAMMPS", "plugin", "MPI", "Kokkos", "LibTorch", "CUDA", "self-test"]
    assert [finding.subject for finding in findings] == subjects
    assert all(finding.was_checked for finding in findings)


def test_the_command_prints_the_findings_and_its_exit_code_is_the_verdict(
    config: dict[str, str], plugin: Path, tmp_path: Path
) -> None:
    def command(file: Path) -> subprocess.CompletedProcess[str]:
        package = Path(module.__file__).parent.parent
        environment = {**os.environ, "PYTHONPATH": str(package)}
        words = [sys.executable, "-m", "mlff", "doctor", config["lmp"], "--plugin", str(file)]
        return subprocess.run(words, env=environment, capture_output=True, text=True)

    good = command(plugin)
    assert good.returncode == 0 and good.stdout.endswith("No fault found.\n")
    bad = command(tmp_path / "mlffplugin.so")
    assert bad.returncode == 1 and bad.stdout.endswith("1 fault found\n")


def test_the_plugin_is_found_as_lammps_finds_it(
    config: dict[str, str], plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMMPS_PLUGIN_PATH", f"{tmp_path}{os.pathsep}{plugin.parent}")
    assert module.find_plugin(None) == str(plugin)
    monkeypatch.delenv("LAMMPS_PLUGIN_PATH")
    fault = only_fault(doctor(config["lmp"]))
    assert fault.subject == "plugin" and "--plugin FILE" in fault.advice


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("setting", "subject", "words"),
    [
        ("version", "plugin", "compiled for LAMMPS 2 Aug 2023"),
        ("sizes", "plugin", "; this LAMMPS is "),
    ],
)
def test_a_plugin_for_another_lammps(config: dict[str, str], setting: str, subject: str, words: str) -> None:
    misfit = Path(config["test_plugin_dir"]) / "misfits" / f"mlff{setting}plugin.so"
    findings = doctor(config["lmp"], misfit)
    fault = only_fault(findings)
    assert fault.subject == subject and words in fault.text and "LAMMPS_BUILD_DIR" in fault.advice
    assert not findings[-1].was_checked  # no self-test with a plugin that does not fit


@pytest.mark.parametrize(
    ("ours", "theirs", "advice"),
    [
        ("stubs", "Open MPI v4.1.4", "LAMMPS_BUILD_DIR"),
        ("Open MPI", "LAMMPS MPI STUBS for LAMMPS version 4 Jul 2026", "LAMMPS_BUILD_DIR"),
        ("MPICH", "Open MPI v4.1.4", "Load the MPI that LAMMPS was built with"),
        ("Open MPI", "Intel(R) MPI Library 2021.11", "Load the MPI that LAMMPS was built with"),
    ],
)
def test_another_mpi(ours: str, theirs: str, advice: str) -> None:
    lammps = module.Lammps("lmp", "4 Jul 2026", "smallbig", theirs, frozenset({"PLUGIN"}))
    plugin = module.Plugin("mlffplugin.so", "4 Jul 2026", "smallbig", ours, "2.11.0")
    fault = module.mpi_finding(lammps, plugin, module.Libraries({}, ()))
    assert advice in fault.advice and ours in fault.text and theirs in fault.text


def test_two_files_of_one_mpi_family(config: dict[str, str], plugin: Path) -> None:
    lammps, built = module.ask_lammps(config["lmp"]), module.read_plugin(str(plugin))
    if built.mpi == "stubs":
        assert module.shared_libraries(config["lmp"]).path("libmpi") is None
        return
    other = module.Libraries({"libmpi.so.40": "/opt/other/lib/libmpi.so.40"}, ())
    fault = module.mpi_finding(lammps, built, other)
    assert fault.is_fault and "/opt/other/lib/libmpi.so.40" in fault.text


def test_libtorch_of_another_version(config: dict[str, str], plugin: Path, tmp_path: Path) -> None:
    version = module.read_plugin(str(plugin)).libtorch
    other = ("9" if version[0] != "9" else "8") + version[1:]
    path = altered(plugin, tmp_path, f"libtorch={version};", f"libtorch={other};")
    fault = only_fault(doctor(config["lmp"], path))
    assert fault.subject == "LibTorch" and version in fault.text and f"LibTorch {other}" in fault.advice


def test_libtorch_that_is_gone(config: dict[str, str], plugin: Path, tmp_path: Path) -> None:
    folder = config["libtorch"] + "/lib"
    path = altered(plugin, tmp_path, folder, "/nowhere".ljust(len(folder), "_"))
    fault = only_fault(doctor(config["lmp"], path))
    assert fault.subject == "LibTorch" and "the loader does not find it" in fault.text


def test_a_plugin_without_libtorch() -> None:
    bare = module.Plugin("mlffplugin.so", "4 Jul 2026", "smallbig", "stubs", "")
    assert "MLFF_ENABLE_TORCH=ON" in module.libtorch_finding(bare, module.Libraries({}, ())).advice


def test_files_that_are_no_plugin(config: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "mlffplugin.so").write_text("text")
    assert "is not a plugin" in only_fault(doctor(config["lmp"], tmp_path / "mlffplugin.so")).text
    assert "No such file" in only_fault(doctor(config["lmp"], tmp_path / "none.so")).text


def test_executables_that_are_no_lammps(tmp_path: Path) -> None:
    assert "found none at" in only_fault(doctor(tmp_path / "lmp")).text
    other = script(tmp_path / "other", "print('hello')\n")
    assert "does not print a LAMMPS version" in only_fault(doctor(other)).text
    broken = script(tmp_path / "broken", "import sys\nsys.exit('libmpi.so.40: cannot open shared object file')\n")
    fault = only_fault(doctor(broken))
    assert "cannot open shared object file" in fault.text and "LD_LIBRARY_PATH" in fault.advice


def test_a_lammps_without_package_plugin(plugin: Path, tmp_path: Path) -> None:
    lmp = script(tmp_path / "lmp", f"print({HELP.replace('PLUGIN ', '')!r})\n")
    faults = [finding for finding in doctor(lmp, plugin) if finding.is_fault]
    assert "PKG_PLUGIN=on" in faults[0].advice


def test_a_wrong_result_of_the_self_test_is_a_fault(
    config: dict[str, str], plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lammps, built = module.ask_lammps(config["lmp"]), module.read_plugin(str(plugin))
    right = module.lammps_result

    def off(energy_factor: float, force: float) -> Finding:
        def result(folder: Path, lammps: module.Lammps, plugin: module.Plugin) -> tuple[float, list[list[float]]]:
            energy, forces = right(folder, lammps, plugin)
            forces[0][0] += force
            return energy * energy_factor, forces

        monkeypatch.setattr(module, "lammps_result", result)
        return module.self_test(lammps, built)

    assert not off(1.0, 0.0).is_fault
    assert off(1 + 1e-8, 0.0).is_fault
    assert "their sum is" in off(1.0, 1e-6).text
    assert "expected finite numbers" in off(float("nan"), 0.0).text
    assert "expected finite numbers" in off(1.0, float("inf")).text


def test_an_error_of_lammps_in_the_self_test_is_told(config: dict[str, str], plugin: Path, tmp_path: Path) -> None:
    lammps = module.ask_lammps(config["lmp"])
    shutil.copy(Path(config["test_plugin_dir"]) / "misfits" / "mlffversionplugin.so", tmp_path / "mlffplugin.so")
    misfit = module.Plugin(str(tmp_path / "mlffplugin.so"), lammps.version, lammps.sizes, "Open MPI", "2.11.0")
    finding = module.self_test(lammps, misfit)
    assert finding.is_fault and "pair_style mlff is not registered" in finding.text


# ---------------------------------------------------------------- what is read


def test_help_is_read() -> None:
    lammps = parse_help("lmp", HELP)
    assert (lammps.version, lammps.sizes, lammps.mpi) == ("4 Jul 2026", "smallbig", "Open MPI v4.1.4")
    assert lammps.packages == {"EXTRA-FIX", "KOKKOS", "MC", "PLUGIN", "REPLICA"}
    assert lammps.kokkos == {"version": "5.0.2", "backends": "OpenMP Serial", "precision": "double"}


def test_families_of_mpi() -> None:
    names = {
        "Open MPI v5.0.3": "Open MPI",
        "MPICH Version: 4.2.0": "MPICH",
        "Intel(R) MPI Library 2021.11": "MPICH",
        "MVAPICH2 Version: 2.3.7": "MPICH",
        "MPI VERSION : CRAY MPICH version 8.1": "MPICH",
        "LAMMPS MPI STUBS for LAMMPS version 4 Jul 2026": "stubs",
        "stubs": "stubs",
        "Another MPI": "",
    }
    assert {name: mpi_family(name) for name in names} == names


def test_the_loader_s_words_are_read() -> None:
    libraries = parse_ldd("""
        linux-vdso.so.1 (0x00007ffe)
        libtorch_cpu.so => /opt/torch/lib/libtorch_cpu.so (0x00007f)
        libzip.so.4 => not found
    ./mlffplugin.so: /lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by ./mlffplugin.so)
    """)
    assert libraries.path("libtorch_cpu") == "/opt/torch/lib/libtorch_cpu.so"
    (fault,) = module.missing_libraries(libraries)
    assert "libzip.so.4 not found" in fault.text and "GLIBCXX_3.4.32" in fault.text


def test_the_version_of_libtorch_is_read_from_both_places(tmp_path: Path) -> None:
    text = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 9\n#define TORCH_VERSION_PATCH 1\n"
    for name in ("include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"):
        folder = tmp_path / name.replace("/", "_")
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
        assert libtorch_version(folder) == "2.9.1"
    assert libtorch_version(tmp_path / "none") == ""
