"""Configuring: what contradicts itself stops with one sentence; what is not needed is not asked for.

LAMMPS is played by a folder with the few files that are read, and by a script that prints what `lmp -h` prints.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class Configured:
    status: int
    text: str  # all output, with every run of white space as one blank: CMake breaks lines


class FakeLammps:
    """Sources and a build folder, with its cache and its executable."""

    def __init__(self, folder: Path) -> None:
        self.source, self.build = folder / "lammps", folder / "lammps-build"
        (self.source / "src" / "STUBS").mkdir(parents=True)
        (self.source / "cmake").mkdir()
        self.build.mkdir()
        (self.source / "src" / "lammpsplugin.h").touch()
        (self.source / "src" / "version.h").write_text('#define LAMMPS_VERSION "4 Jul 2026"\n')
        (self.source / "src" / "STUBS" / "mpi.cpp").touch()
        self.write_cache()
        self.write_lmp()

    @property
    def lmp(self) -> Path:
        return self.build / "lmp"

    def write_cache(self, **changes: str) -> None:
        entries = {
            "LAMMPS_SIZES": "smallbig", "BUILD_MPI": "off", "PKG_PLUGIN": "on", "CMAKE_HOME_DIRECTORY": "", **changes,
        }  # fmt: skip
        entries["CMAKE_HOME_DIRECTORY"] = entries["CMAKE_HOME_DIRECTORY"] or str(self.source / "cmake")
        text = "".join(f"{name}:STRING={value}\n" for name, value in entries.items())
        (self.build / "CMakeCache.txt").write_text(text)

    def write_lmp(
        self, version: str = "4 Jul 2026", sizes: str = "SMALLBIG", mpi: str = "LAMMPS MPI STUBS", more: str = "PLUGIN"
    ) -> None:
        text = f"""
Large-scale Atomic/Molecular Massively Parallel Simulator - {version}

MPI v1.0: {mpi}

-DLAMMPS_{sizes}

Installed packages:

KSPACE {more} REPLICA

List of individual style options included in this LAMMPS executable

* PLUGIN
"""
        self.lmp.write_text(f"#!{sys.executable}\nprint({text!r})\n")
        self.lmp.chmod(0o755)


@pytest.fixture
def fake(tmp_path: Path) -> FakeLammps:
    return FakeLammps(tmp_path)


@dataclass
class Configure:
    config: dict[str, str]
    folder: Path

    def __call__(self, *options: str, environment: dict[str, str] | None = None) -> Configured:
        command = [
            "cmake",
            "-G",
            "Ninja",
            "-S",
            self.config["source_dir"],
            "-B",
            str(self.folder),
            "-D",
            "MLFF_BUILD_TESTS=OFF",
        ]
        command += ["-D", f"MLFF_LIBTORCH={self.config['libtorch']}", f"-DPython3_EXECUTABLE={sys.executable}"]
        for option in options:
            command += ["-D", option]
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        return Configured(result.returncode, re.sub(r"\s+", " ", result.stdout + result.stderr))

    def refuses(self, *options: str) -> str:
        result = self(*options)
        assert result.status != 0, f"expected an error, found a configured build: {result.text}"
        assert result.text.count("CMake Error") == 1, result.text
        return result.text


@pytest.fixture
def configure(config: dict[str, str], tmp_path: Path) -> Configure:
    return Configure(config, tmp_path / "build")


def both(fake: FakeLammps) -> tuple[str, str]:
    return f"LAMMPS_SOURCE_DIR={fake.source}", f"LAMMPS_BUILD_DIR={fake.build}"


# ---------------------------------------------------------------- LAMMPS: the three sources of its settings


def test_settings_come_from_the_build_folder(configure: Configure, fake: FakeLammps) -> None:
    result = configure(f"LAMMPS_BUILD_DIR={fake.build}")
    assert result.status == 0, result.text
    assert f"LAMMPS 4 Jul 2026, smallbig, MPI off, from the build in {fake.build}" in result.text
    fake.write_cache(LAMMPS_SIZES="bigbig")
    fake.write_lmp(sizes="BIGBIG")
    assert "LAMMPS 4 Jul 2026, bigbig, MPI off" in configure().text


def test_a_build_whose_executable_does_not_run_here_is_taken_by_its_cache(
    configure: Configure, fake: FakeLammps
) -> None:
    fake.lmp.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('libcuda.so.1: cannot open')\n")
    result = configure(*both(fake))
    assert result.status == 0 and "does not run here" in result.text and "libcuda.so.1" in result.text


def test_settings_come_from_the_executable(configure: Configure, fake: FakeLammps) -> None:
    fake.write_lmp(sizes="BIGBIG")
    result = configure(f"LAMMPS_SOURCE_DIR={fake.source}", f"LAMMPS_EXECUTABLE={fake.lmp}")
    assert result.status == 0, result.text
    assert f"LAMMPS 4 Jul 2026, bigbig, MPI OFF, from {fake.lmp}" in result.text


def test_settings_come_from_options(configure: Configure, fake: FakeLammps) -> None:
    result = configure(f"LAMMPS_SOURCE_DIR={fake.source}", "LAMMPS_SIZES=bigbig", "LAMMPS_MPI=OFF")
    assert result.status == 0, result.text
    assert "LAMMPS 4 Jul 2026, bigbig, MPI OFF, from the options" in result.text


# ---------------------------------------------------------------- package KOKKOS


def kokkos(fake: FakeLammps, types: str = "ttransform_kkacc_1d_9", **changes: str) -> tuple[str, str]:
    fake.write_cache(**{"PKG_KOKKOS": "on", "KOKKOS_PREC": "double", "KOKKOS_LAYOUT": "legacy", **changes})
    (fake.source / "src" / "KOKKOS").mkdir(exist_ok=True)
    (fake.source / "src" / "KOKKOS" / "kokkos_type.h").write_text(types + "\n")
    return both(fake)


KOKKOS_MISFITS = {
    "precision": ({"KOKKOS_PREC": "mixed"}, "Expected a LAMMPS with KOKKOS_PREC double for mlff/kk, found mixed in"),
    "version": ({"types": "tdual_kkacc_1d"}, "Expected LAMMPS 10 Sep 2025 or newer for mlff/kk, found 4 Jul 2026"),
    "headers": ({}, "Expected the headers of the Kokkos bundled with LAMMPS in"),
    "package": ({"PKG_KOKKOS": "off"}, "Expected a LAMMPS with package KOKKOS for mlff/kk, found"),
}


@pytest.mark.parametrize("name", KOKKOS_MISFITS)
def test_kokkos_that_does_not_fit_is_an_error_where_it_was_asked_for(
    configure: Configure, fake: FakeLammps, name: str
) -> None:
    changes, message = KOKKOS_MISFITS[name]
    text = configure.refuses(*kokkos(fake, **changes), "MLFF_BUILD_KOKKOS=ON")
    assert message in text and "or the host style alone: -D MLFF_BUILD_KOKKOS=OFF" in text


def test_kokkos_without_a_build_folder_is_an_error(configure: Configure, fake: FakeLammps) -> None:
    options = (f"LAMMPS_SOURCE_DIR={fake.source}", f"LAMMPS_EXECUTABLE={fake.lmp}", "MLFF_BUILD_KOKKOS=ON")
    assert "Expected -D LAMMPS_BUILD_DIR=... for mlff/kk" in configure.refuses(*options)


def test_kokkos_that_does_not_fit_leaves_the_host_style(configure: Configure, fake: FakeLammps) -> None:
    result = configure(*kokkos(fake, KOKKOS_PREC="single"))
    assert result.status == 0 and "No mlff/kk, only the host style: Expected a LAMMPS with KOKKOS_PREC" in result.text
    result = configure("MLFF_BUILD_KOKKOS=OFF")
    assert result.status == 0 and "mlff/kk" not in result.text


# ---------------------------------------------------------------- LAMMPS: contradictions


def test_no_lammps(configure: Configure) -> None:
    text = configure.refuses()
    assert "Expected the LAMMPS that will load the plugin, found none" in text
    assert "LAMMPS_BUILD_DIR" in text and "MLFF_BUILD_PLUGIN=OFF" in text


def test_a_folder_in_which_nothing_was_built(configure: Configure, fake: FakeLammps, tmp_path: Path) -> None:
    text = configure.refuses(f"LAMMPS_SOURCE_DIR={fake.source}", f"LAMMPS_BUILD_DIR={tmp_path / 'empty'}")
    assert f"found no CMakeCache.txt in {tmp_path / 'empty'}" in text


def test_an_installed_lammps_instead_of_sources(configure: Configure, fake: FakeLammps) -> None:
    (fake.source / "src" / "lammpsplugin.h").unlink()
    assert "an installed LAMMPS lacks it" in configure.refuses(*both(fake))


def test_sources_of_another_build(configure: Configure, fake: FakeLammps, tmp_path: Path) -> None:
    other = FakeLammps(tmp_path / "other")
    text = configure.refuses(f"LAMMPS_SOURCE_DIR={other.source}", f"LAMMPS_BUILD_DIR={fake.build}")
    assert str(other.source) in text and str(fake.source) in text and "leave LAMMPS_SOURCE_DIR out" in text


def test_sources_of_another_version_than_the_executable(configure: Configure, fake: FakeLammps) -> None:
    fake.write_lmp(version="4 Feb 2025")
    for options in (both(fake), (f"LAMMPS_SOURCE_DIR={fake.source}", f"LAMMPS_EXECUTABLE={fake.lmp}")):
        text = configure.refuses(*options)
        assert "found version 4 Jul 2026 in" in text and "and 4 Feb 2025 in" in text


def test_an_executable_that_is_older_than_the_cache(configure: Configure, fake: FakeLammps) -> None:
    fake.write_lmp(sizes="BIGBIG")
    assert "found integer sizes smallbig in the build" in configure.refuses(*both(fake))
    fake.write_lmp(mpi="Open MPI v4.1.4")
    assert "found MPI OFF in the build" in configure.refuses(*both(fake))


def test_options_that_contradict_the_build(configure: Configure, fake: FakeLammps) -> None:
    text = configure.refuses(*both(fake), "LAMMPS_SIZES=bigbig")
    assert "found integer sizes bigbig in option LAMMPS_SIZES and smallbig in the build" in text
    text = configure.refuses(*both(fake), "LAMMPS_SIZES=smallbig", "LAMMPS_MPI=ON")
    assert "found MPI ON in option LAMMPS_MPI and OFF in the build" in text


def test_sizes_that_lammps_does_not_have(configure: Configure, fake: FakeLammps) -> None:
    text = configure.refuses(f"LAMMPS_SOURCE_DIR={fake.source}", "LAMMPS_SIZES=smallsmall", "LAMMPS_MPI=OFF")
    assert "Expected integer sizes smallbig or bigbig, found 'smallsmall'" in text


def test_a_lammps_without_package_plugin(configure: Configure, fake: FakeLammps) -> None:
    fake.write_cache(PKG_PLUGIN="off")
    assert "PKG_PLUGIN=on" in configure.refuses(*both(fake))
    fake.write_lmp(more="MC")
    text = configure.refuses("LAMMPS_BUILD_DIR=", f"LAMMPS_SOURCE_DIR={fake.source}", f"LAMMPS_EXECUTABLE={fake.lmp}")
    assert "PKG_PLUGIN=on" in text


def test_an_executable_that_does_not_run(configure: Configure, fake: FakeLammps) -> None:
    fake.lmp.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('libmpi.so.40: cannot open')\n")
    text = configure.refuses(f"LAMMPS_SOURCE_DIR={fake.source}", f"LAMMPS_EXECUTABLE={fake.lmp}")
    assert "it failed: 1 libmpi.so.40: cannot open" in text


def test_another_compiler_is_a_warning(configure: Configure, fake: FakeLammps) -> None:
    fake.write_cache(CMAKE_CXX_COMPILER="/opt/other/bin/g++")
    result = configure(*both(fake))
    assert result.status == 0 and "-D CMAKE_CXX_COMPILER=/opt/other/bin/g++" in result.text


def test_another_mpi(configure: Configure, fake: FakeLammps, config: dict[str, str]) -> None:
    if not config["mpirun"]:
        return  # with MPI stubs there is no MPI to find
    fake.write_lmp(mpi="Open MPI v4.1.4")
    fake.write_cache(BUILD_MPI="on", MPI_CXX_HEADER_DIR="/opt/other/include")
    text = configure.refuses(*both(fake))
    assert "and /opt/other/include in the build" in text and "MPI_CXX_COMPILER" in text


# ---------------------------------------------------------------- LibTorch and other libraries


def test_no_libtorch(configure: Configure, tmp_path: Path) -> None:
    assert "expected a folder with LibTorch's include/ and lib/" in configure.refuses(f"MLFF_LIBTORCH={tmp_path}")
    missing = configure.refuses("MLFF_LIBTORCH=", f"Python3_EXECUTABLE={tmp_path / 'none'}")
    assert "Expected LibTorch, found none" in missing and "-D MLFF_LIBTORCH=" in missing


def libtorch(folder: Path, version: str, names: str) -> Path:
    """A folder that looks like LibTorch."""
    header = folder / "include" / "torch" / "csrc" / "api" / "include" / "torch" / "version.h"
    header.parent.mkdir(parents=True)
    lines = zip(("MAJOR", "MINOR", "PATCH"), version.split("."), strict=True)
    header.write_text("".join(f"#define TORCH_VERSION_{part} {number}\n" for part, number in lines))
    (folder / "lib").mkdir()
    for name in ("libtorch_cpu.so", "libc10.so"):
        (folder / "lib" / name).write_text(names)
    return folder


def test_libtorch_before_2_7_or_with_the_old_abi(configure: Configure, tmp_path: Path) -> None:
    text = configure.refuses(f"MLFF_LIBTORCH={libtorch(tmp_path / 'a', '2.6.0', '_ZNSt7__cxx1112basic_string')}")
    assert "Expected LibTorch 2.7 or newer, found 2.6.0" in text and "old C++ ABI" in text
    text = configure.refuses(f"MLFF_LIBTORCH={libtorch(tmp_path / 'b', '2.9.1', '_ZN3c105ErrorC1ESs')}")
    assert "C++11 ABI" in text


def test_a_missing_library_is_named_with_its_package(configure: Configure, config: dict[str, str]) -> None:
    cache = (Path(config["build_dir"]) / "CMakeCache.txt").read_text()
    folder = re.search(r"^MLFF_zip_INCLUDE_DIR:PATH=(.*)$", cache, re.MULTILINE)
    assert folder
    text = configure.refuses("MLFF_BUILD_PLUGIN=OFF", f"CMAKE_IGNORE_PATH={folder[1]}")
    assert "Expected zip (header zip.h), found none" in text and "apt-get install libzip-dev" in text


def test_neither_cuda_nor_torch_nor_lammps_is_asked_for_without_need(
    configure: Configure, fake: FakeLammps, config: dict[str, str]
) -> None:
    with_nvcc = {str(Path(found).parent) for found in [shutil.which("nvcc")] if found}
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part not in with_nvcc)
    environment = {name: value for name, value in os.environ.items() if "CUDA" not in name.upper()}
    hidden = ["CMAKE_DISABLE_FIND_PACKAGE_CUDA=ON", "CMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON"]
    result = configure(*both(fake), *hidden, environment={**environment, "PATH": path})
    assert result.status == 0, result.text
    assert "nvcc" not in result.text
    without = configure("MLFF_BUILD_PLUGIN=OFF", "MLFF_ENABLE_TORCH=OFF", "MLFF_LIBTORCH=/nowhere")
    assert without.status == 0, without.text


# ---------------------------------------------------------------- layers


def layers(config: dict[str, str], folder: Path, links: str) -> Configured:
    """A target that links `links`, of which `lammps` is behind `glue`, and may not see pair.h."""
    folder.mkdir()
    (folder / "include").mkdir()
    (folder / "include" / "pair.h").touch()
    (folder / "core.cpp").touch()
    (folder / "CMakeLists.txt").write_text(f"""
cmake_minimum_required(VERSION 3.20)
project(layers LANGUAGES CXX)
include({config["source_dir"]}/cmake/Layering.cmake)
add_library(lammps INTERFACE)
target_include_directories(lammps SYSTEM INTERFACE {folder}/include)
add_library(glue INTERFACE)
target_link_libraries(glue INTERFACE lammps)
add_library(maths INTERFACE)
add_library(core STATIC core.cpp)
target_link_libraries(core PRIVATE {links})
mlff_forbid_headers(core pair.h)
""")
    result = subprocess.run(["cmake", "-G", "Ninja", "-S", folder, "-B", folder / "b"], capture_output=True, text=True)
    return Configured(result.returncode, re.sub(r"\s+", " ", result.stdout + result.stderr))


def test_a_layer_that_sees_a_higher_one_is_refused(config: dict[str, str], tmp_path: Path) -> None:
    assert layers(config, tmp_path / "good", "maths").status == 0
    for links in ("lammps", "maths glue"):
        result = layers(config, tmp_path / links.replace(" ", "-"), links)
        assert result.status != 0 and "Target core may not see pair.h" in result.text
