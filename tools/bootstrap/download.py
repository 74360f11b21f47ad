"""Downloads one file: goes on where an interrupted download stopped, and hands over nothing but the right bytes."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from .failure import Failure
from .progress import Progress

BLOCK = 1 << 20


class Unreachable(Failure):
    """The address does not answer; another source may."""


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fetch(
    address: str, target: Path, sha256: str, progress: Progress, proxy: str | None = None, timeout: float = 60
) -> None:
    """Fill `target`. Proxy and certificates are those of the environment, unless `proxy` is given."""
    if target.exists() and sha256_of(target) == sha256:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for attempt in range(5):
        try:
            _append(address, part, progress, proxy, timeout)
            break
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing is left to ask for: the part is whole, or of another file
                break
            raise Unreachable(f"Expected {address} to answer, found status {error.code} ({error.reason}).") from None
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if attempt == 4 or (attempt == 0 and not part.exists()):
                raise Unreachable(f"Expected {address} to answer, found: {reason}.") from None
            time.sleep(2**attempt)
    found = sha256_of(part)
    if found != sha256:
        part.unlink()
        raise Failure(f"Expected a file with SHA-256 {sha256} at {address}, found {found}; the file was removed.")
    part.rename(target)


def read(address: str, timeout: float) -> str:
    try:
        with urllib.request.urlopen(address, timeout=timeout) as answer:
            return str(answer.read(), "utf-8")
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise Unreachable(f"Expected {address} to answer, found: {getattr(error, 'reason', error)}.") from None


def _append(address: str, part: Path, progress: Progress, proxy: str | None, timeout: float) -> None:
    handlers = [urllib.request.ProxyHandler({"http": proxy, "https": proxy})] if proxy else []
    there = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={there}-"} if there else {})
    with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as answer:
        if answer.status != 206:  # a server that cannot resume sends the file from its start
            there = 0
        length = answer.headers.get("Content-Length")
        total = there + int(length) if length else None
        with part.open("ab" if there else "wb") as stream:
            while block := answer.read(BLOCK):
                stream.write(block)
                there += len(block)
                progress.update(there / total if total else None, f"{there / 1e6:.0f} MB")
        if total is not None and there < total:
            raise ConnectionError(f"the connection broke after {there} of {total} bytes")
