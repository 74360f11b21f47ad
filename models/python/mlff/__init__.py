"""Students (distilled neural-network potentials) for `pair_style mlff`: train, export, check, run from ASE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calculator import MLFFCalculator
    from .evaluation import evaluate
    from .wrap import wrap

__all__ = ["MLFFCalculator", "__version__", "evaluate", "wrap"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`MLFFCalculator`, `evaluate` and `wrap` are imported when first used: Torch and ASE take seconds to load."""
    if name == "MLFFCalculator":
        from .calculator import MLFFCalculator

        return MLFFCalculator
    if name == "evaluate":
        from .evaluation import evaluate

        return evaluate
    if name == "wrap":
        from .wrap import wrap

        return wrap
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
