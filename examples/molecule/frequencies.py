#!/usr/bin/env python3
"""Prints the wave numbers at which a run of in.molecule vibrates.

usage: frequencies.py [FOLDER]    reads FOLDER/inner.dat (default: this folder)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
TIME_STEP = 0.25e-15  # s
LIGHT = 2.99792458e10  # cm/s
LOWEST = 1000.0  # 1/cm: a rotating molecule stretches slowly; that is no vibration


def main(folder: Path) -> None:
    a, b, angle = np.loadtxt(folder / "inner.dat").T
    window = np.hanning(len(a))
    wave_number = np.fft.rfftfreq(8 * len(a), TIME_STEP) / LIGHT  # padded: peaks between the bins of the run
    print(f"{len(a)} steps: lines closer than {2.0 / (len(a) * TIME_STEP * LIGHT):.0f}/cm are one")
    for name, signal in (("bend", angle), ("symmetric stretch", a + b), ("antisymmetric stretch", a - b)):
        spectrum = np.abs(np.fft.rfft((signal - signal.mean()) * window, 8 * len(a)))
        spectrum[wave_number < LOWEST] = 0.0
        print(f"{name:22s} {wave_number[spectrum.argmax()]:6.0f}/cm")


main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
