"""A column of named steps, run in order; a step whose result is there already is passed over."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from . import settings
from .progress import Progress, duration
from .shell import Shell


@dataclass(frozen=True)
class Step:
    title: str
    typical: float  # seconds on 2 cores
    is_done: Callable[[], bool]  # looks at the result itself, so that an interrupted step is never taken for done
    run: Callable[[Shell], None]
    scales: bool = False  # with the number of cores
    shared: bool = False  # changes the machine or the cache, which other checkouts use as well


def run_steps(steps: Sequence[Step], shell: Shell) -> None:
    progress = shell.progress
    factor = 2 / settings.cores()
    typical = {step.title: step.typical * (factor if step.scales else 1) for step in steps if not step.is_done()}
    if typical:
        progress.line(f"{len(typical)} of {len(steps)} steps to do, about {duration(sum(typical.values()))}")
    for number, step in enumerate(steps):
        title = f"[{number + 1}/{len(steps)}] {step.title}"
        if step.is_done():  # asked again: what is needed may depend on what an earlier step found
            progress.line(f"{title}: there already")
            continue
        with only_one(settings.cache_folder(), progress) if step.shared else nullcontext():
            if step.shared and step.is_done():  # by the other one that was waited for
                continue
            rest = sum(typical.get(later.title, 0.0) for later in steps[number + 1 :])
            progress.begin(title, typical.get(step.title, step.typical), rest)
            shell.note(f"\n==== {step.title}")
            step.run(shell)
            progress.end()


@contextmanager
def only_one(folder: Path, progress: Progress) -> Iterator[None]:
    """Two set-ups that share a cache folder take turns."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        started = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = duration(time.monotonic() - started)
                progress.line(f"another set-up works in {folder}; waiting for it ({waited} so far)")
                time.sleep(30)
        yield
