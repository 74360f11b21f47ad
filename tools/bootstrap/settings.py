"""Versions, checksums, addresses and places: everything that changes when a new release is taken up."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
BUILD = CHECKOUT / "build"

TORCH_VERSION = "2.11.0"
PYTHON_PACKAGES = ["numpy", "ase", "matscipy", "safetensors", "tqdm", "matplotlib", "setuptools", "wheel"]
# pinned: ruff's format and mypy's findings change with their versions
PYTHON_PACKAGES_FOR_TESTS = ["pytest", "ruff==0.17.6", "mypy==2.4.1"]
# installed without dependencies: schnetpack wants a sympy from before Torch's, and its networks need nothing but Torch
PYTHON_PACKAGES_ALONE_FOR_TESTS = ["schnetpack==2.1.1"]

DEBIAN_PACKAGES = [
    "libzip-dev", "nlohmann-json3-dev", "nettle-dev", "pkg-config", "libopenmpi-dev", "openmpi-bin",
    "g++", "cmake", "ninja-build", "ccache", "python3-venv", "python3-dev", "xz-utils",
]  # fmt: skip
DEBIAN_PACKAGES_FOR_TESTS = ["libgtest-dev", "libgmock-dev", "clang-format-14", "libyaml-dev"]

LAMMPS_PACKAGES = ["PLUGIN", "KOKKOS"]
LAMMPS_PACKAGES_FOR_TESTS = ["MOLECULE", "MC", "EXTRA-FIX", "REPLICA"]
LAMMPS_TARBALLS = "https://download.lammps.org/tars"


@dataclass(frozen=True)
class LammpsRelease:
    version: str  # as in src/version.h
    date: str  # as in Debian's version and in names of cache folders
    tarball: str  # name of the release tarball of the LAMMPS project
    debian_suite: str
    debian_version: str
    debian_sha256: str  # of Debian's .orig.tar.*


LAMMPS = LammpsRelease(
    "4 Jul 2026", "20260704", "lammps-4Jul2026.tar.gz", "sid", "20260704+dfsg",
    "cddbc45a047416bd48a4a0b87f24a5b61b3446982b74d18cafe619c22b17eb62",
)  # fmt: skip
OLD_LAMMPS = LammpsRelease(
    "4 Feb 2025", "20250204", "lammps-4Feb2025.tar.gz", "trixie", "20250204+dfsg.1",
    "3671165bd52fad36734e0a9136c5bc5ecb225e03988f8c89aa13366a8b53b1c7",
)  # fmt: skip

# Debian strips Kokkos from LAMMPS's tarball. This source distribution on PyPI carries it whole and unmodified.
KOKKOS_VERSION = "5.0.2"
KOKKOS_CARRIER = "symmetrix-xl==0.1.1"
KOKKOS_CARRIER_FILE = "symmetrix_xl-0.1.1.tar.gz"
KOKKOS_CARRIER_SHA256 = "0e4d92ff4ac9cd0ba8c191deec35e3ebe9364e0265ff46044827920176d5503f"


def cache_folder() -> Path:
    """MLFF_CACHE names the place of what is kept outside the checkout; it changes no behaviour."""
    given = os.environ.get("MLFF_CACHE")
    if given:
        return Path(given).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlff"


def cores() -> int:
    return len(os.sched_getaffinity(0))
