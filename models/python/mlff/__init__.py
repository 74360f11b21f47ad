"""Students (distilled neural-network potentials) for `pair_style mlff`: train, export, check, run from ASE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calculator import MLFFCalculator
    from .evaluation import evaluate

__all__ = ["MLFFCalculator", "__version__", "evaluate"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`MLFFCalculator` and `evaluate` are imported when first used: Torch and ASE take seconds to load."""
    if name == "MLFFCalculator":
        from .calculator import MLFFCalculator

        return MLFFCalculator
    if name == "evaluate":
        from .evaluation import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
