"""Debian packages of the machine, and source tarballs from Debian's archive."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from . import download, settings
from .failure import Failure
from .shell import Shell, ask

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def missing_packages(names: list[str]) -> list[str]:
    there = (
        ask(["dpkg-query", "-W", "-f", "${binary:Package} ${db:Status-Status}\n", *_installed_or_known(names)]) or ""
    )
    installed = {line.split()[0].split(":")[0] for line in there.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


def _installed_or_known(names: list[str]) -> list[str]:
    """dpkg-query fails as a whole for one name that it never saw, so those are asked for one by one."""
    return [name for name in names if ask(["dpkg-query", "-W", name]) is not None] or ["dpkg"]


def install_packages(shell: Shell, names: list[str]) -> None:
    if not shutil.which("apt-get"):
        raise Failure(f"Expected Debian or Ubuntu (apt-get), found neither; install these by hand: {' '.join(names)}.")
    if os.geteuid() == 0:
        prefix = []
    elif ask(["sudo", "-n", "true"]) is not None:
        prefix = ["sudo", "-n", "DEBIAN_FRONTEND=noninteractive"]
    else:
        raise Failure(
            f"Expected root or a sudo without password to install Debian packages, found neither; "
            f"have this run once and start again: apt-get install {' '.join(names)}"
        )
    shell.run([*prefix, "apt-get", "update"])
    shell.run(
        [*prefix, "apt-get", "install", "-y", "--no-install-recommends", *names], fraction=_AptFraction(len(names))
    )


class _AptFraction:
    """apt names the number of packages, then one "Setting up" line comes for each."""

    def __init__(self, packages: int) -> None:
        self.packages, self.seen = packages, 0

    def __call__(self, line: str) -> float | None:
        if found := re.match(r"\d+ upgraded, (\d+) newly installed", line):
            self.packages = int(found[1])
        if line.startswith("Setting up "):
            self.seen += 1
            return self.seen / max(1, self.packages)
        return None


def mirrors() -> list[str]:
    """Addresses of the Debian archives that apt uses on this machine, the likeliest first."""
    addresses = re.findall(r"'(\S+?)/+dists/([^/']+)/InRelease'", ask(["apt-get", "update", "--print-uris"]) or "")
    bases = dict.fromkeys(base for base, suite in addresses if not suite.endswith("-security"))
    return sorted(bases, key=lambda base: not base.endswith("/debian"))


def fetch_source(shell: Shell, suite: str, version: str, sha256: str, target_folder: Path) -> Path:
    """The .orig.tar of LAMMPS `version` from `suite`, whatever suites the machine itself uses.

    apt checks the signature of the archive's index, which holds the checksum; lists and state of the machine's own apt
    stay as they are.
    """
    known = next(target_folder.glob(f"lammps_{version}.orig.tar.*[zZ]"), None)
    if known and download.sha256_of(known) == sha256:
        return known
    if not KEYRING.exists():
        raise Failure(f"Expected the keys of Debian's archive, found no {KEYRING} (package debian-archive-keyring).")
    private = settings.cache_folder() / f"apt-{suite}"
    (private / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (private / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    for mirror in mirrors():
        source_list = private / "sources.list"
        source_list.write_text(f"deb-src [signed-by={KEYRING}] {mirror} {suite} main\n")
        options = [
            f"Dir::Etc::sourcelist={source_list}", "Dir::Etc::sourceparts=/dev/null",
            f"Dir::State::lists={private}/lists", f"Dir::Cache={private}",
            "APT::Get::List-Cleanup=0", "APT::Sandbox::User=", "Acquire::http::Timeout=30",
            "Acquire::Check-Valid-Until=false",  # the checksum is ours, so an old index of a mirror does no harm
        ]  # fmt: skip
        flags = [word for option in options for word in ("-o", option)]
        status, text = shell.run(["apt-get", *flags, "update"], may_fail=True)
        if status or re.search(r"^(Err|W: Failed)", text, re.MULTILINE):
            continue
        _, text = shell.run(["apt-get", *flags, "source", "--print-uris", "lammps"], may_fail=True)
        found = re.search(r"^'(\S+)' lammps_(\S+)\.orig\.tar\.(\w+) (\d+) SHA256:(\w+)", text, re.MULTILINE)
        if not found:
            continue
        address, found_version, ending, _, found_sha256 = found.groups()
        if found_version != version or found_sha256 != sha256:
            raise Failure(
                f"Expected LAMMPS {version} (SHA-256 {sha256}) in Debian {suite}, found {found_version} "
                f"({found_sha256}): Debian has moved on. Give a source tree of your own with --lammps-source, or a "
                "built one with --lammps-build."
            )
        target = target_folder / f"lammps_{version}.orig.tar.{ending}"
        download.fetch(address, target, sha256, shell.progress, proxy=_apt_proxy())
        return target
    raise download.Unreachable(
        f"Expected a Debian mirror with suite {suite} among apt's sources, found none that answers (tried: "
        f"{', '.join(mirrors()) or 'no address'})."
    )


def _apt_proxy() -> str | None:
    """apt's own proxy, where one is configured: the archive may be reachable through it alone."""
    answer = ask(["apt-config", "shell", "proxy", "Acquire::http::Proxy"]) or ""
    found = re.search(r"proxy='([^']+)'", answer)
    return found[1] if found and found[1] != "DIRECT" else None
