"""Each row is measured in a process of its own: its memory is its own, and a crash or lack of memory ends it alone."""

from __future__ import annotations

import copy
import math
import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Clock", "Peak", "RefusedError", "StoppedError", "in_child", "peak_memory", "run_program"]


class RefusedError(Exception):
    """A row that cannot be had; the message is its reason."""


class StoppedError(Exception):
    """The time of ``--limit`` is over."""


class Clock:
    """Seconds left to the whole command, and to one row."""

    def __init__(self, limit: float | None, longest: float) -> None:
        self.end = time.monotonic() + limit if limit is not None else math.inf
        self.longest = longest

    def for_long_rows(self) -> Clock:
        """The same limit, with rows that may take all of it."""
        clock = copy.copy(self)
        clock.longest = math.inf
        return clock

    def check(self) -> None:
        if time.monotonic() > self.end:
            raise StoppedError

    def row_end(self) -> float:
        """When a row that begins now must have ended, in seconds of `time.monotonic`."""
        return min(self.end, time.monotonic() + self.longest)

    def overrun(self) -> Exception:
        """What to raise for a row that is still running at its end."""
        if time.monotonic() + 0.1 > self.end:  # whoever waited may have woken a little early
            return StoppedError()
        return RefusedError(
            f"expected to end within {self.longest:g} s, found it still running. Give it more time with --longest."
        )


def signal_reason(number: int) -> str:
    hint = ": most often a lack of memory" if number == 9 else ""
    return f"the process was ended by signal {number}{hint}"


# ---------------------------------------------------------------- Python


def peak_memory(pid: int | str = "self") -> float | None:
    """MB: the most that a process's memory has been since it began (VmHWM); None where the system does not say.

    Not ``ru_maxrss``: a child inherits its parent's.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)


def answer(connection: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """The child: one call, whose result or failure goes back."""
    reply: tuple[Any, str | None]
    try:
        reply = (function(*arguments), None)
    except Exception as error:
        text = " ".join(str(error).split())
        reply = (None, text if isinstance(error, RefusedError | ValueError) else f"{type(error).__name__}: {text}")
    connection.send(reply)


def in_child(clock: Clock, function: Callable[..., Any], *arguments: Any) -> Any:
    """``function(*arguments)`` in a new process; what goes wrong there is raised as `RefusedError`.

    Children are forks of a server that has imported Torch and done nothing with it: they start in milliseconds, with no
    threads, and with no GPU opened.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "mlff.model_file"])
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=answer, args=(theirs, function, arguments))
    end = clock.row_end()
    child.start()
    theirs.close()
    patience = 0.0
    try:
        if not ours.poll(None if math.isinf(end) else max(0.0, end - time.monotonic())):
            raise clock.overrun()
        result, reason = ours.recv()
        patience = 2.0
    except EOFError:
        child.join()
        code = child.exitcode or 0
        raise RefusedError(signal_reason(-code) if code < 0 else f"the process ended with status {code}") from None
    finally:
        child.join(patience)
        if child.is_alive():
            child.kill()
            child.join()
        ours.close()
    if reason is not None:
        raise RefusedError(reason[:600])
    return result


# ---------------------------------------------------------------- programs


@dataclass
class Peak:
    """Peak memory of a program in MB, and in words of what."""

    megabytes: float | None = None
    of: str = "process, resident"

    def note(self, megabytes: float | None, of: str) -> None:
        if megabytes is not None and megabytes >= (self.megabytes or 0.0):
            self.megabytes, self.of = megabytes, of


def gpu_query(*words: str) -> list[list[str]]:
    """Rows of nvidia-smi; none where there is no such program."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", *words, "--format=csv,noheader,nounits"]
    result = subprocess.run(command, capture_output=True, text=True)
    return [[word.strip() for word in line.split(",")] for line in result.stdout.splitlines() if line.strip()]


def gpu_memory() -> tuple[dict[int, float], float]:
    """MB that each process uses on GPUs, and that is used in all."""
    numbers = [row for row in gpu_query("--query-compute-apps=pid,used_memory") if row[-1].isdigit()]
    total = [row for row in gpu_query("--query-gpu=memory.used") if row[-1].isdigit()]
    return {int(pid): float(used) for pid, used in numbers}, sum(float(row[0]) for row in total)


def run_program(
    command: Sequence[str | os.PathLike[str]],
    folder: Path,
    environment: Mapping[str, str],
    clock: Clock,
    on_gpu: bool,
) -> tuple[int, str, Peak]:
    """Run to the end, or to that of the row's time: exit status, output and peak memory, sampled as it runs."""
    peak, others, end = Peak(), Peak(), clock.row_end()
    before = gpu_memory()[1] if on_gpu else 0.0
    next_look = time.monotonic() + 1.0
    output = folder / "output.txt"
    with open(output, "w") as file:
        process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=file, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                if time.monotonic() > end:
                    raise clock.overrun()
                if not on_gpu:
                    peak.note(peak_memory(process.pid), "process, resident")
                elif time.monotonic() > next_look:  # once a second: each look takes the driver's locks
                    used, total = gpu_memory()
                    if process.pid in used:
                        peak.note(used[process.pid], "GPU, process")
                    else:  # not yet; inside a container the driver may know other process numbers, and then never
                        others.note(total - before, "GPU, all processes, less what was used before")
                    next_look = time.monotonic() + 1.0
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return process.returncode, output.read_text(errors="replace"), others if peak.megabytes is None else peak
