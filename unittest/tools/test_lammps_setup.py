"""Where LAMMPS comes from: the order of sources, what `lmp -h` tells, and the sentences when nothing can be had."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from bootstrap import archive, debian, download, kokkos, lammps, settings
from bootstrap.failure import Failure
from bootstrap.progress import Progress
from bootstrap.shell import Shell

HELP = """
Large-scale Atomic/Molecular Massively Parallel Simulator - 4 Jul 2026

Installed packages:

EXTRA-FIX KOKKOS MC MOLECULE
PLUGIN

List of individual style options included in this LAMMPS executable
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "log", Progress(io.StringIO()))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_tarball(path: Path, top: str) -> str:
    """A tarball of a tree with `top` ("" for none) in front; returns its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as stream:
        for name in ("cmake/CMakeLists.txt", "src/version.h", "src/KOKKOS/version.h", "doc/src/version.h", "doc/page"):
            member = tarfile.TarInfo(f"{top}{name}")
            member.size = 4
            stream.addfile(member, io.BytesIO(b"text"))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def release(sha256: str) -> settings.LammpsRelease:
    return settings.LammpsRelease("4 Jul 2026", "20260704", "lammps-4Jul2026.tar.gz", "sid", "20260704+dfsg", sha256)


def unreachable(*_: object, **__: object) -> str:
    raise download.Unreachable("Expected it to answer, found silence.")


def test_help_of_lammps_is_read() -> None:
    facts = lammps.parse_facts(HELP)
    assert facts == lammps.Facts("4 Jul 2026", frozenset({"EXTRA-FIX", "KOKKOS", "MC", "MOLECULE", "PLUGIN"}))
    assert lammps.parse_facts("something else") is None


@pytest.mark.parametrize("top", ["", "lammps-4Jul2026/", "./"])
def test_tarball_is_unpacked_whatever_its_top_folder(tmp_path: Path, top: str) -> None:
    make_tarball(tmp_path / "t.tar.gz", top)
    archive.unpack(tmp_path / "t.tar.gz", tmp_path / "src", "src/version.h", ["cmake", "src"])
    assert sorted(path.name for path in (tmp_path / "src").iterdir()) == ["cmake", "src"]
    assert (tmp_path / "src" / "src" / "KOKKOS" / "version.h").exists()


def test_tarball_without_the_marker_is_refused(tmp_path: Path) -> None:
    make_tarball(tmp_path / "t.tar.gz", "")
    with pytest.raises(Failure, match="Expected src/other.h in"):
        archive.unpack(tmp_path / "t.tar.gz", tmp_path / "src", "src/other.h", [])
    assert not (tmp_path / "src").exists()


def test_tarball_in_the_cache_needs_no_network(cache: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "read", unreachable)
    monkeypatch.setattr(debian, "fetch_source", unreachable)
    sha256 = make_tarball(cache / "downloads" / "lammps_20260704+dfsg.orig.tar.gz", "")
    setup = lammps.Lammps(release(sha256), ["PLUGIN"])
    assert not setup.is_obtained()
    setup._obtain(shell)
    assert setup.is_obtained()
    assert setup.source == cache / f"lammps-20260704-{sha256[:8]}" / "src"


def test_release_tarball_comes_before_debian(
    cache: Path, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = make_tarball(tmp_path / "there" / "lammps-4Jul2026.tar.gz", "lammps-4Jul2026/")
    (tmp_path / "there" / "SHA256SUMS").write_text(
        f"{'0' * 64}  lammps-other.tar.gz\n{sha256}  lammps-4Jul2026.tar.gz\n"
    )
    monkeypatch.setattr(settings, "LAMMPS_TARBALLS", (tmp_path / "there").as_uri())
    monkeypatch.setattr(debian, "fetch_source", unreachable)
    monkeypatch.setattr(download, "fetch", copy_checked)
    setup = lammps.Lammps(release("1" * 64), ["PLUGIN"])
    setup._obtain(shell)
    assert setup.source == cache / "lammps-20260704-release" / "src"
    assert setup.is_obtained()


def copy_checked(address: str, target: Path, sha256: str, *_: object, **__: object) -> None:
    content = Path(address.removeprefix("file://")).read_bytes()
    assert hashlib.sha256(content).hexdigest() == sha256
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def test_no_source_reached_names_the_options(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "read", unreachable)
    monkeypatch.setattr(debian, "fetch_source", unreachable)
    with pytest.raises(Failure, match="could reach neither.*--lammps-source DIR.*--lammps-build DIR"):
        lammps.Lammps(release("1" * 64), ["PLUGIN"])._obtain(shell)


class Apt:
    """Answers as apt-get does, with one version of LAMMPS in the archive."""

    def __init__(self, version: str, sha256: str) -> None:
        self.version, self.sha256 = version, sha256

    def __call__(self, command: list[object], **_: object) -> tuple[int, str]:
        uri = f"'http://mirror/debian/pool/lammps_{self.version}.orig.tar.gz' lammps_{self.version}.orig.tar.gz"
        return 0, f"{uri} 4 SHA256:{self.sha256}\n" if "source" in command else "Hit:1 sid\n"


def test_debian_that_moved_on_is_named(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "mirrors", lambda: ["http://mirror/debian"])
    monkeypatch.setattr(debian, "KEYRING", tmp_path)
    monkeypatch.setattr(shell, "run", Apt("20270101+dfsg", "2" * 64))
    with pytest.raises(Failure, match=r"LAMMPS 20260704\+dfsg \(SHA-256 1+\).*found 20270101\+dfsg.*--lammps-source"):
        debian.fetch_source(shell, "sid", "20260704+dfsg", "1" * 64, tmp_path / "downloads")


def test_mirrors_are_those_of_apt_and_no_security_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = (
        "'https://other.example/apt/dists/stable/InRelease' a 0\n"
        "'http://mirror.example/debian/dists/bookworm/InRelease' b 0\n"
        "'http://mirror.example/debian/dists/bookworm-updates/InRelease' c 0\n"
        "'http://mirror.example/debian-security/dists/bookworm-security/InRelease' d 0\n"
    )
    answers: Callable[[list[str]], str] = lambda command: listing  # noqa: E731
    monkeypatch.setattr(debian, "ask", answers)
    assert debian.mirrors() == ["http://mirror.example/debian", "https://other.example/apt"]


def test_folder_that_is_no_lammps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="--lammps-source: expected a LAMMPS tree"):
        lammps.Lammps(settings.LAMMPS, ["PLUGIN"], own_source=tmp_path)
    with pytest.raises(Failure, match="--lammps-build: expected a folder in which CMake built LAMMPS"):
        lammps.Lammps(settings.LAMMPS, ["PLUGIN"], own_build=tmp_path)


def test_own_build_tells_its_sources(tmp_path: Path) -> None:
    (tmp_path / "CMakeCache.txt").write_text("CMAKE_HOME_DIRECTORY:INTERNAL=/some/lammps/cmake\n")
    setup = lammps.Lammps(settings.LAMMPS, ["PLUGIN"], own_build=tmp_path)
    assert setup.source == Path("/some/lammps")
    assert not setup.is_built(), "a folder without a program is not a built LAMMPS"


def test_own_build_without_a_package_is_refused(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "CMakeCache.txt").write_text("CMAKE_HOME_DIRECTORY:INTERNAL=/some/lammps/cmake\n")
    program = tmp_path / "lmp"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{HELP}END\n")
    program.chmod(0o755)
    assert lammps.Lammps(settings.LAMMPS, ["PLUGIN", "KOKKOS"], own_build=tmp_path).is_built()
    setup = lammps.Lammps(settings.LAMMPS, ["PLUGIN", "REPLICA"], own_build=tmp_path)
    assert not setup.is_built()
    with pytest.raises(Failure, match="without REPLICA"):
        setup._refuse_own_build(shell)


def test_bundled_kokkos_is_preferred(tmp_path: Path) -> None:
    tree = tmp_path / "lammps-x" / "src"
    bundled = tree / "lib" / "kokkos"
    assert not kokkos.for_lammps(tree).bundled
    bundled.mkdir(parents=True)
    (bundled / "CMakeLists.txt").write_text(
        "set(Kokkos_VERSION_MAJOR 5)\nset(Kokkos_VERSION_MINOR 1)\nset(Kokkos_VERSION_PATCH 0)\n"
    )
    found = kokkos.for_lammps(tree)
    assert found.bundled
    assert found.folder.name == "kokkos-5.1.0-of-lammps-x"
