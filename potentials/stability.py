#!/usr/bin/env python3
"""What a run of in.stability says of a student, for its card.

usage: stability.py NAME    reads NAME.rows and NAME.dump (and needs the package mlff); prints temperature, longest O-H
                            bond and, from the steps at constant energy, the drift
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from mlff.dynamics import drift

NVT_STEPS = 200000
STEP_PS = 0.0005
ATOMS = 192


def rows(path: Path) -> np.ndarray:
    """[samples, 4]: step, K, eV, bar; a step that a restarted run did twice counts once."""
    table = np.loadtxt(path)
    return table[np.unique(table[:, 0], return_index=True)[1]]


def longest_bond(path: Path) -> float:
    """The largest distance of an H from its own O over all frames, Å."""
    longest = 0.0
    with path.open() as file:
        while file.readline():
            header = [file.readline() for _ in range(8)]
            low, high = np.array([line.split() for line in header[4:7]], dtype=float).T
            table = np.loadtxt([file.readline() for _ in range(int(header[2]))])
            molecule = table[np.argsort(table[:, 0]), 2:5].reshape(-1, 3, 3)
            bond = molecule[:, 1:] - molecule[:, :1]
            bond -= np.round(bond / (high - low)) * (high - low)
            longest = max(longest, float(np.sqrt((bond**2).sum(2)).max()))
    return longest


def main(name: str) -> None:
    table = rows(Path(f"{name}.rows"))
    nvt, nve = table[table[:, 0] <= NVT_STEPS], table[table[:, 0] > NVT_STEPS]
    half = nvt[len(nvt) // 2 :]
    print(f"NVT: {nvt[-1, 0] * STEP_PS:g} ps, second half {half[:, 1].mean():.1f} K, {half[:, 3].mean():.0f} bar")
    if len(nve):
        slope, error = drift(nve[:, 0] * STEP_PS, nve[:, 2], ATOMS)
        print(f"NVE: {(nve[-1, 0] - NVT_STEPS) * STEP_PS:g} ps, drift {slope:.2f} +- {error:.2f} meV/atom/ns")
    print(f"all finite: {bool(np.isfinite(table).all())}, longest O-H bond {longest_bond(Path(f'{name}.dump')):.2f} A")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
