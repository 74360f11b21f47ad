"""LAMMPS: the user's own, or one that is obtained and built once into the cache."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from . import archive, debian, download, kokkos, settings
from .failure import Failure
from .settings import LammpsRelease
from .shell import NINJA, Shell, ask, counted
from .steps import Step

PARTS = ["cmake", "src", "unittest", "potentials", "lib", "python", "bench", "LICENSE"]


@dataclass(frozen=True)
class Facts:
    """What `lmp -h` tells."""

    version: str
    packages: frozenset[str]


def facts(lmp: Path) -> Facts | None:
    text = ask([lmp, "-h"]) if lmp.exists() else None
    return parse_facts(text) if text else None


def parse_facts(text: str) -> Facts | None:
    version = re.search(r"Simulator - (\d+ \w+ \d+)", text)
    packages = re.search(r"Installed packages:\s+(.*?)\n\s*\n", text, re.DOTALL)
    return Facts(version[1], frozenset(packages[1].split())) if version and packages else None


class Lammps:
    """Where sources and build are, and the steps that bring them there."""

    def __init__(
        self,
        release: LammpsRelease,
        packages: list[str],
        own_source: Path | None = None,
        own_build: Path | None = None,
    ) -> None:
        self.release, self.packages = release, packages
        self.own_source, self.own_build = own_source, own_build
        if own_source and not (own_source / "src" / "version.h").exists():
            raise Failure(f"--lammps-source: expected a LAMMPS tree (with src/version.h), found {own_source}.")
        if own_build and not (own_build / "CMakeCache.txt").exists():
            raise Failure(f"--lammps-build: expected a folder in which CMake built LAMMPS, found {own_build}.")

    # ---- places
    @property
    def folder(self) -> Path:
        cache = settings.cache_folder()
        if self.own_source:
            return cache / f"lammps-own-{hashlib.sha256(bytes(self.own_source)).hexdigest()[:8]}"
        released = cache / f"lammps-{self.release.date}-release"
        if (released / "src").exists():
            return released
        return cache / f"lammps-{self.release.date}-{self.release.debian_sha256[:8]}"

    @property
    def source(self) -> Path:
        if self.own_source:
            return self.own_source
        if self.own_build:
            home = re.search(r"^CMAKE_HOME_DIRECTORY:\w+=(.*)$", (self.own_build / "CMakeCache.txt").read_text(), re.M)
            return Path(home[1]).parent if home else self.own_build
        return self.folder / "src"

    @property
    def build(self) -> Path:
        return self.own_build or self.folder / "build"

    @property
    def lmp(self) -> Path:
        return self.build / "lmp"

    # ---- steps
    def steps(self, python: Path) -> list[Step]:
        if self.own_build:
            return [Step(f"your LAMMPS in {self.own_build}", 1, self.is_built, self._refuse_own_build)]
        version = self.release.version if not self.own_source else f"of {self.own_source}"
        steps = [Step(f"LAMMPS {version}: sources", 60, self.is_obtained, self._obtain, shared=True)]
        if "KOKKOS" in self.packages:
            steps += [
                Step("Kokkos: sources", 30, lambda: self.is_built() or self._kokkos().is_obtained(),
                     lambda shell: kokkos.obtain(shell, self._kokkos(), python), shared=True),
                Step("Kokkos: build", 60, lambda: self.is_built() or self._kokkos().is_built(),
                     lambda shell: kokkos.build(shell, self._kokkos()), scales=True, shared=True),
            ]  # fmt: skip
        typical = 1100 if "KOKKOS" in self.packages else 500
        if facts(self.lmp):
            typical //= 4  # some packages are added to a finished build
        return [*steps, Step(f"LAMMPS {version}: build", typical, self.is_built, self._build, scales=True, shared=True)]

    def is_obtained(self) -> bool:
        return (self.source / "src" / "version.h").exists()

    def is_built(self) -> bool:
        found = facts(self.lmp)
        if not found or not set(self.packages) <= found.packages:
            return False
        return bool(self.own_source or self.own_build) or found.version.startswith(self.release.version)

    def _kokkos(self) -> kokkos.Kokkos:
        return kokkos.for_lammps(self.source if self.is_obtained() else None)

    def _refuse_own_build(self, shell: Shell) -> None:
        found = facts(self.lmp)
        if not found:
            raise Failure(f"--lammps-build: expected a program {self.lmp} that answers to -h, found none that does.")
        missing = ", ".join(sorted(set(self.packages) - found.packages))
        raise Failure(
            f"--lammps-build: expected packages {', '.join(self.packages)}, found {self.lmp} without {missing}."
        )

    def _obtain(self, shell: Shell) -> None:
        downloads = settings.cache_folder() / "downloads"
        reasons = []
        for fetch in (self._from_cached_file, self._from_project, self._from_debian):
            try:
                tarball, name = fetch(shell, downloads)
            except download.Unreachable as reason:
                shell.note(str(reason))
                reasons.append(str(reason))
                continue
            target = settings.cache_folder() / f"lammps-{self.release.date}-{name}" / "src"
            archive.unpack(tarball, target, "src/version.h", PARTS)
            return
        raise Failure(
            f"Expected LAMMPS {self.release.version} from the LAMMPS project or from Debian "
            f"{self.release.debian_suite}, could reach neither; give your own tree with --lammps-source DIR, or a "
            f"built one with --lammps-build DIR. ({' '.join(reasons[1:])})"
        )

    def _from_cached_file(self, shell: Shell, downloads: Path) -> tuple[Path, str]:
        sha256 = self.release.debian_sha256
        for path in downloads.glob(f"lammps_{self.release.debian_version}.orig.tar.*"):
            if not path.name.endswith(".part") and download.sha256_of(path) == sha256:
                return path, sha256[:8]
        raise download.Unreachable("No tarball in the cache.")

    def _from_project(self, shell: Shell, downloads: Path) -> tuple[Path, str]:
        """The project publishes the checksums of its tarballs beside them."""
        name = self.release.tarball
        sums = download.read(f"{settings.LAMMPS_TARBALLS}/SHA256SUMS", timeout=8)
        found = re.search(rf"^(\w{{64}})\s+\*?{re.escape(name)}$", sums, re.MULTILINE)
        if not found:
            raise download.Unreachable(f"Expected {name} in {settings.LAMMPS_TARBALLS}/SHA256SUMS, found no such line.")
        download.fetch(f"{settings.LAMMPS_TARBALLS}/{name}", downloads / name, found[1], shell.progress)
        return downloads / name, "release"

    def _from_debian(self, shell: Shell, downloads: Path) -> tuple[Path, str]:
        release = self.release
        sha256 = release.debian_sha256
        return debian.fetch_source(shell, release.debian_suite, release.debian_version, sha256, downloads), sha256[:8]

    def _build(self, shell: Shell) -> None:
        options = ["CMAKE_BUILD_TYPE=Release", "BUILD_SHARED_LIBS=on", "BUILD_MPI=on", "BUILD_OMP=on",
                   "CMAKE_CXX_STANDARD=20", "WITH_JPEG=off", "WITH_PNG=off", "WITH_FFMPEG=off", "WITH_CURL=off",
                   "CMAKE_CXX_COMPILER_LAUNCHER=ccache"]  # fmt: skip
        options += [f"PKG_{package}=on" for package in self.packages]
        if "KOKKOS" in self.packages:
            found = self._kokkos()
            options += ["EXTERNAL_KOKKOS=on", f"CMAKE_PREFIX_PATH={found.install}"]
            if not found.bundled and not self.own_source:
                self._accept_kokkos()
        definitions = [word for option in options for word in ("-D", option)]
        shell.run(["cmake", "-S", self.source / "cmake", "-B", self.build, "-G", "Ninja", *definitions])
        shell.run(["cmake", "--build", self.build], fraction=counted(NINJA))
        if not self.is_built():
            raise Failure(f"Expected {self.lmp} with packages {', '.join(self.packages)}, found {facts(self.lmp)}.")

    def _accept_kokkos(self) -> None:
        """LAMMPS asks for the Kokkos that it bundles; it compiles and runs unchanged with 5.0.2 as well."""
        module = self.source / "cmake" / "Modules" / "Packages" / "KOKKOS.cmake"
        text = module.read_text()
        wanted = re.sub(r"find_package\(Kokkos [\d.]+ ", f"find_package(Kokkos {settings.KOKKOS_VERSION} ", text)
        if wanted != text:
            module.write_text(wanted)
