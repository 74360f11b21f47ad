"""Unpacks parts of a tarball; a folder under its final name is always whole."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from .failure import Failure


def unpack(tarball: Path, target: Path, marker: str, wanted: Sequence[str]) -> None:
    """Unpack the entries `wanted` of the folder of `tarball` that holds `marker`, whatever that folder is called."""
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with tarfile.open(tarball) as archive:
        members = archive.getmembers()
        clean = {member.name: PurePosixPath(member.name).parts for member in members}
        tops = [parts[: -len(PurePosixPath(marker).parts)] for parts in clean.values() if _ends_with(parts, marker)]
        if not tops:
            raise Failure(f"Expected {marker} in {tarball}, found none. Delete the file and start again.")
        top = min(tops, key=len)
        for member in members:
            parts = clean[member.name]
            inner = parts[len(top) :]
            if parts[: len(top)] == top and inner and (not wanted or inner[0] in wanted):
                member.name = str(PurePosixPath(*inner))
                if ".." in inner or member.name.startswith("/"):
                    raise Failure(f"Expected paths inside the folder in {tarball}, found {member.name}.")
                if member.isdev():
                    continue
                archive.extract(member, part, set_attrs=True)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def _ends_with(parts: tuple[str, ...], marker: str) -> bool:
    tail = PurePosixPath(marker).parts
    return parts[-len(tail) :] == tail
