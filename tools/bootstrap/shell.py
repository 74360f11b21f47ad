"""Runs programs: their output goes to the log, their counters move the progress line, and nothing waits for input."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from . import interruption
from .failure import Failure
from .progress import Progress

NINJA = re.compile(r"^\[(\d+)/(\d+)\] ")
CTEST = re.compile(r"^\s*(\d+)/(\d+) Test\s+#")


def counted(pattern: re.Pattern[str], start: float = 0.0, end: float = 1.0) -> Callable[[str], float | None]:
    """Reads from lines in which `pattern` finds "n of m" how far a step is, of which this program is start to end."""

    def read(line: str) -> float | None:
        found = pattern.match(line)
        return start + (end - start) * int(found[1]) / max(1, int(found[2])) if found else None

    return read


class Shell:
    def __init__(self, log: Path, progress: Progress) -> None:
        self.log, self.progress = log, progress
        log.parent.mkdir(parents=True, exist_ok=True)
        self.stream = log.open("ab", buffering=0)

    def note(self, text: str) -> None:
        self.stream.write(f"{text}\n".encode())

    def run(
        self,
        command: Sequence[str | Path],
        fraction: Callable[[str], float | None] | None = None,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        may_fail: bool = False,
    ) -> tuple[int, str]:
        """Exit status and output; a status other than 0 is a Failure unless it `may_fail`."""
        words = [str(word) for word in command]
        self.note(f"\n$ {' '.join(words)}")
        process = None
        try:
            with interruption.held():  # between its start and our knowing its number nobody could stop it
                process = subprocess.Popen(
                    words, cwd=folder, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", **(environment or {})},
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            output = self._follow(process, fraction)
            status = process.wait()
        except FileNotFoundError:
            raise Failure(f"Expected the program {words[0]}, found none in the PATH.") from None
        except BaseException:
            if process:
                with suppress(ProcessLookupError):  # its children too: no compiler outlives an interrupted build
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait()
            raise
        if status and not may_fail:
            raise Failure(f"`{' '.join(words[:6])}{' ...' if len(words) > 6 else ''}` ended with status {status}.")
        return status, output

    def _follow(self, process: subprocess.Popen[bytes], fraction: Callable[[str], float | None] | None) -> str:
        assert process.stdout
        pieces: list[bytes] = []
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                self.progress.update()
                if not selector.select(timeout=0.5):
                    continue
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    return b"".join(pieces).decode(errors="replace")
                self.stream.write(piece)
                pieces.append(piece)
                *lines, rest = re.split(rb"[\r\n]", rest + piece)
                for line in lines:
                    value = fraction(line.decode(errors="replace")) if fraction else None
                    if value is not None:
                        self.progress.update(value)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def ask(command: Sequence[str | Path]) -> str | None:
    """What a short program prints, None where it is missing or fails; for questions, so nothing is logged."""
    try:
        answer = subprocess.run(
            [str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout if answer.returncode == 0 else None
