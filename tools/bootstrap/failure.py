"""The one exception that the commands in tools/ report as a sentence instead of a traceback."""

from __future__ import annotations


class Failure(Exception):
    """Says what was expected, what was found and what to do."""
