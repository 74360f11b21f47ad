"""One line about the step that runs: how far it is, and how long it and everything after it will take."""

from __future__ import annotations

import sys
import time
from typing import TextIO


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


class Progress:
    """On a terminal the line is rewritten twice a second; elsewhere (a CI log) a new line comes every 30 seconds."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out or sys.stdout
        self.live = self.out.isatty()
        self.interval = 0.5 if self.live else 30.0
        self.started = self.shown = time.monotonic()
        self.title, self.typical, self.rest = "", 1.0, 0.0
        self.fraction = self.moved_at = 0.0  # how far the step is; seconds into the step when that last changed

    def begin(self, title: str, typical: float, rest: float) -> None:
        """Start a step that usually takes `typical` seconds and is followed by `rest` seconds of others."""
        self.title, self.typical, self.rest = title, typical, rest
        self.fraction = self.moved_at = 0.0
        self.started = self.shown = time.monotonic()
        self._write(f"{title}: about {duration(typical)}, {duration(typical + rest)} for all that is left", keep=True)

    def update(self, fraction: float | None = None, note: str = "") -> None:
        """`fraction` of the step is done (None: unknown, as before)."""
        now = time.monotonic()
        if fraction is not None and fraction != self.fraction:
            self.fraction, self.moved_at = min(1.0, max(0.0, fraction)), now - self.started
        if now - self.shown < self.interval:
            return
        self.shown = now
        left = self.time_left(now - self.started)
        percent = f"{100 * self.fraction:3.0f} %, " if self.fraction > 0 else ""
        total = duration(left + self.rest)
        self._write(f"{self.title}: {percent}{duration(left)} left, {total} in all{'; ' + note if note else ''}")

    def time_left(self, elapsed: float) -> float:
        """Typical durations count until a tenth of the step is done; from there on, what this machine shows."""
        if self.fraction >= 0.1:
            left, since = self.moved_at * (1 - self.fraction) / self.fraction, elapsed - self.moved_at
        else:
            left, since = self.typical, elapsed
        return max(left - since, 0.1 * left)

    def end(self, outcome: str = "done") -> None:
        self._write(f"{self.title}: {outcome} in {duration(time.monotonic() - self.started)}", keep=True)

    def line(self, text: str) -> None:
        self._write(text, keep=True)

    def _write(self, text: str, keep: bool = False) -> None:
        if self.live:
            self.out.write("\r\033[K" + text + ("\n" if keep else ""))
        else:
            self.out.write(text + "\n")
        self.out.flush()
