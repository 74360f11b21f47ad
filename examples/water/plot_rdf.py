#!/usr/bin/env python3
"""Draws the O-O radial distribution of a run of in.water beside the teacher's own.

usage: plot_rdf.py [FOLDER]    reads FOLDER/rdf.dat and FOLDER/run.json, writes FOLDER/rdf.png (default: this folder)
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Distribution:
    """The running average that 'fix ave/time' in in.water wrote: r (Å), g, temperature (K), and its span in ps."""

    r: np.ndarray
    g: np.ndarray
    temperature: float
    first_ps: float
    last_ps: float


def read_distribution(folder: Path) -> Distribution:
    path = folder / "rdf.dat"
    if not path.exists():
        sys.exit(f"{path}: expected the distribution of a run, found no file. Run in.water first, or name its folder.")
    run = json.loads((folder / "run.json").read_text())
    lines = path.read_text().splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    if not rows:
        sys.exit(f"{path}: expected the distribution of a finished run, found no rows. Run in.water to its end.")
    last_step, bins = int(rows[0][0]), int(rows[0][1])
    table = np.array(rows[1 : 1 + bins], float)
    first_ps, last_ps = run["first_step"] * run["ps_per_step"], last_step * run["ps_per_step"]
    return Distribution(table[:, 1], table[:, 2], run["temperature_K"], first_ps, last_ps)


def draw_teacher(axes: Any, path: Path) -> None:
    """The teacher's curve with a band of two standard errors, and how long it ran."""
    reference = json.loads(path.read_text())
    r, g, error = (np.array(reference[name]) for name in ("r", "g", "g_error"))
    run = reference["provenance"]
    kept = run["ps_per_replica"] - run["ps_discarded_per_replica"]
    axes.fill_between(r, g - 2 * error, g + 2 * error, color="0.8", label="two standard errors of the teacher")
    label = f"{run['label']}, {run['temperature_K']:g} K: {run['replicas']} boxes, {kept:g} ps each"
    axes.plot(r, g, color="black", linewidth=1.2, label=label)


def main(folder: Path) -> None:
    student = read_distribution(folder)
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    teacher = HERE / "teacher_rdf.json"
    if teacher.exists():
        draw_teacher(axes, teacher)
    label = f"pair_style mlff, {student.temperature:g} K: one box, {student.first_ps:g} to {student.last_ps:g} ps"
    axes.plot(student.r, student.g, color="tab:red", linewidth=1.5, label=label)
    axes.axhline(1.0, color="0.6", linewidth=0.6, linestyle=":")
    axes.set(xlim=(2.0, 6.0), xlabel="O-O distance (Å)", ylabel="g(r)", title="Liquid water, 64 molecules at 1 g/cm³")
    axes.set_ylim(0.0, 1.3 * axes.get_ylim()[1])  # room for the legend
    axes.legend(frameon=False, fontsize="small")
    figure.savefig(folder / "rdf.png", dpi=150)
    print(f"picture: {folder / 'rdf.png'}")


main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
