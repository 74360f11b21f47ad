"""Ctrl-C, a stopped job and a closed terminal all end a command as KeyboardInterrupt, where that does no harm."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_held = False
_pending = False


def install() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup and background jobs ask for that
            signal.signal(number, _handle)


@contextmanager
def held() -> Iterator[None]:
    """An interruption that comes inside is raised at the end."""
    global _held, _pending
    _held = True
    try:
        yield
    finally:
        _held = False
    if _pending:
        _pending = False
        raise KeyboardInterrupt


def _handle(number: int, frame: FrameType | None) -> None:
    global _pending
    if _held:
        _pending = True
    else:
        raise KeyboardInterrupt
