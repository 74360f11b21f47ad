"""Kokkos: LAMMPS's bundled copy where its tree has one, else the copy that a source distribution on PyPI carries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import archive, download, settings
from .failure import Failure
from .shell import NINJA, Shell, counted


@dataclass(frozen=True)
class Kokkos:
    source: Path
    folder: Path  # of build/ and install/
    bundled: bool

    @property
    def install(self) -> Path:
        return self.folder / "install"

    def is_obtained(self) -> bool:
        return (self.source / "CMakeLists.txt").exists()

    def is_built(self) -> bool:
        """Installation writes its CMake files last."""
        config = self.install / "lib" / "cmake" / "Kokkos" / "KokkosConfig.cmake"
        return config.exists() and (self.install / "lib" / "libkokkoscore.so").exists()


def for_lammps(tree: Path | None) -> Kokkos:
    cache = settings.cache_folder()
    bundled = tree / "lib" / "kokkos" if tree else None
    if tree and bundled and (bundled / "CMakeLists.txt").exists():
        return Kokkos(bundled, cache / f"kokkos-{version(bundled)}-of-{tree.parent.name}", True)
    folder = cache / f"kokkos-{settings.KOKKOS_VERSION}-{settings.KOKKOS_CARRIER_SHA256[:8]}"
    return Kokkos(folder / "src", folder, False)


def version(source: Path) -> str:
    text = (source / "CMakeLists.txt").read_text()
    numbers = [re.search(rf"set\(Kokkos_VERSION_{part} (\d+)\)", text) for part in ("MAJOR", "MINOR", "PATCH")]
    return ".".join(number[1] if number else "x" for number in numbers)


def obtain(shell: Shell, kokkos: Kokkos, python: Path) -> None:
    """pip finds the file, so that its index, proxy and certificates are those the user configured."""
    downloads = settings.cache_folder() / "downloads"
    carrier = downloads / settings.KOKKOS_CARRIER_FILE
    if not carrier.exists():
        name = settings.KOKKOS_CARRIER.split("==")[0]
        command: list[str | Path] = [python, "-m", "pip", "download", "--no-deps", "--no-binary", name, "-d", downloads]
        status, _ = shell.run([*command, settings.KOKKOS_CARRIER], may_fail=True)
        if status:
            raise Failure(
                f"Expected Kokkos {settings.KOKKOS_VERSION} in {settings.KOKKOS_CARRIER} on PyPI, pip could not reach "
                "it. Give a LAMMPS tree that has lib/kokkos with --lammps-source, or a built one with --lammps-build."
            )
    found = download.sha256_of(carrier)
    if found != settings.KOKKOS_CARRIER_SHA256:
        carrier.unlink()
        raise Failure(
            f"Expected SHA-256 {settings.KOKKOS_CARRIER_SHA256} of {carrier.name}, found {found}; the file was "
            "removed. Start again, or give a built LAMMPS with --lammps-build."
        )
    archive.unpack(carrier, kokkos.source, "core/src/Kokkos_Core.hpp", [])


def build(shell: Shell, kokkos: Kokkos) -> None:
    shell.run(
        ["cmake", "-S", kokkos.source, "-B", kokkos.folder / "build", "-G", "Ninja", "-D", "CMAKE_BUILD_TYPE=Release",
         "-D", "BUILD_SHARED_LIBS=ON", "-D", "CMAKE_CXX_STANDARD=20", "-D", "Kokkos_ENABLE_SERIAL=ON",
         "-D", "Kokkos_ENABLE_OPENMP=ON", "-D", f"CMAKE_INSTALL_PREFIX={kokkos.install}",
         "-D", "CMAKE_CXX_COMPILER_LAUNCHER=ccache"]
    )  # fmt: skip
    shell.run(["cmake", "--build", kokkos.folder / "build"], fraction=counted(NINJA))
    shell.run(["cmake", "--install", kokkos.folder / "build"])
