"""From a checkpoint of training to a student's file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .model_file import save_model
from .train import load_student

__all__ = ["run"]


def run(
    checkpoint: str | os.PathLike[str], out: str | os.PathLike[str], name: str | None = None, **provenance: Any
) -> None:
    """Write the averaged weights of ``checkpoint`` to ``out`` (.pt); ``provenance`` joins the header."""
    save_model(load_student(checkpoint), out, name or Path(out).stem, **provenance)
