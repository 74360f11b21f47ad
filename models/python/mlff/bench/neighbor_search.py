"""Neighbor search in Python, by each method of `mlff.neighbors`, at positions that change at every call."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..neighbors import choose_method, find_edges
from .process import RefusedError, peak_memory
from .python_engines import DISPLACEMENT, NUM_DISPLACED, time_calls
from .systems import System

__all__ = ["CUTOFF", "METHODS", "measure"]

METHODS = ("brute", "matscipy", "torch_cluster")
CUTOFF = 5.0  # Å
MOST_ATOMS_BRUTE = 12_288


def measure(method: str, system: System, seconds: float) -> dict[str, Any]:
    """The numbers of a row; to be called in a process of its own."""
    try:
        choose_method(method)
    except ImportError as error:
        raise RefusedError(str(error)) from None
    if method == "brute" and system.num_atoms > MOST_ATOMS_BRUTE:
        raise RefusedError(
            f"left out: brute force takes time as atoms squared, and is measured up to {MOST_ATOMS_BRUTE} atoms"
        )
    lengths = system.lengths * system.copies
    positions = system.all_positions()
    random = np.random.default_rng(1)
    displaced = [positions + DISPLACEMENT * random.normal(size=positions.shape) for _ in range(NUM_DISPLACED)]

    def search(points: np.ndarray) -> int:
        return len(find_edges(points, np.diag(lengths), True, CUTOFF, method).center)

    expected = len(system.edges(CUTOFF)[0])
    found = search(positions)
    if found != expected:
        raise ValueError(f"{method}: expected {expected} edges, found {found}")
    step, calls, warm_up = time_calls(lambda number: search(displaced[number % NUM_DISPLACED]), seconds)
    return {
        "ms": 1e3 * step,
        "atom_steps_per_s": system.num_atoms / step,
        "calls": calls,
        "warm_up": f"{warm_up:.2f} s of calls, discarded",
        "edges": found,
        "memory_MB": peak_memory(),
        "memory_of": "process, resident",
    }
