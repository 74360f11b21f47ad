"""Downloads against a small server of our own: whole, resumed, wrong, and from a server that cannot resume."""

from __future__ import annotations

import hashlib
import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bootstrap import download
from bootstrap.failure import Failure
from bootstrap.progress import Progress

CONTENT = bytes(range(256)) * 8192  # 2 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    can_resume = True
    breaks_after: int | None = None  # bytes, in the first answer only

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.tar"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:  # noqa: N802 (the name is http.server's)
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.can_resume else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks_after is not None:
            body, self.server.breaks_after = body[: self.server.breaks_after], None
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as result:
        threading.Thread(target=result.serve_forever, daemon=True).start()
        yield result
        result.shutdown()


def fetch(server: Server, target: Path, sha256: str = SHA256) -> None:
    download.fetch(server.address, target, sha256, Progress(io.StringIO()), timeout=10)


def test_whole_file(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    fetch(server, tmp_path / "file")
    assert len(server.ranges) == 1, "a file that is there already is not asked for again"


def test_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_connection_that_breaks_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.breaks_after = 1 << 20
    fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1048576-"]


def test_server_that_cannot_resume(server: Server, tmp_path: Path) -> None:
    server.can_resume = False
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_whole_part_of_an_interrupted_run_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=f"Expected a file with SHA-256 {'0' * 64} .* found {SHA256}"):
        fetch(server, tmp_path / "file", "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_address_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(download.Unreachable, match="Expected http://127.0.0.1:9/file to answer"):
        download.fetch("http://127.0.0.1:9/file", tmp_path / "file", SHA256, Progress(io.StringIO()), timeout=5)
