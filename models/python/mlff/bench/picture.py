"""The picture of a file of results: speed over size, the table of precision and jit, force errors, drift."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from .lammps_engine import JIT, PRECISIONS
from .results import Results, Row

__all__ = ["draw"]

COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple")


def draw(results: Results, path: Path) -> None:
    """Four panels; those without rows say so."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in results.rows if row["reason"] is None]
    figure, axes = plt.subplots(2, 2, figsize=(12.0, 9.0), layout="constrained")
    panels = (draw_speed, draw_table, draw_errors, draw_drift)
    for panel, draw_panel in zip(axes.flat, panels, strict=True):
        if not draw_panel(panel, rows):
            panel.text(0.5, 0.5, "not measured", ha="center", transform=panel.transAxes)
    places = {f"{processor(setting['machine'])}, {setting['commit']}" for setting in results.settings}
    figure.suptitle("\n".join(sorted(places)), fontsize=9)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def processor(machine: dict[str, Any]) -> str:
    """What ran, the GPUs of a machine counted: "4 x NVIDIA H200"."""
    gpus = Counter(machine["gpu"].split(", ")) if machine.get("gpu") else {machine.get("processor"): 1}
    return ", ".join(f"{number} x {name}" if number > 1 else str(name) for name, number in gpus.items())


def best_by_size(rows: list[Row], student: str, part: str, engine: str) -> tuple[list[int], list[float]]:
    """Atoms, and the most atom-steps a second of any precision and jit there."""
    fastest: dict[int, float] = {}
    for row in rows:
        if (row["student"], row["part"], row["engine"]) == (student, part, engine):
            fastest[row["atoms"]] = max(fastest.get(row["atoms"], 0.0), row["atom_steps_per_s"])
    atoms = sorted(fastest)
    return atoms, [fastest[size] for size in atoms]


def draw_speed(axes: Any, rows: list[Row]) -> bool:
    students = list(dict.fromkeys(row["student"] for row in rows if row["part"] in ("python", "lammps")))
    for student, color in zip(students, COLORS * len(students), strict=False):
        for part, engine, style in (("lammps", "lammps", "o-"), ("python", "eager", "s:")):
            atoms, speed = best_by_size(rows, student, part, engine)
            if atoms:
                name = "LAMMPS, best" if part == "lammps" else "PyTorch eager"
                axes.plot(atoms, speed, style, color=color, label=f"{student}, {name}")
    axes.set(title="Speed", xlabel="atoms", ylabel="atom-steps/s", xscale="log", yscale="log")
    if students:
        axes.legend(frameon=False, fontsize=8)
    return bool(students)


def draw_table(axes: Any, rows: list[Row]) -> bool:
    """ms a step by precision and jit, at the largest size that has a full table."""
    table = [row for row in rows if row["part"] == "lammps"]
    count: dict[tuple[str, int], int] = {}
    for row in table:
        count[row["student"], row["atoms"]] = count.get((row["student"], row["atoms"]), 0) + 1
    axes.set(title="LAMMPS, ms a step")
    if not count:
        return False
    student, atoms = max(count, key=lambda case: (count[case], case[1]))
    here = {
        (row["precision"], row["jit"]): row["ms"] for row in table if (row["student"], row["atoms"]) == (student, atoms)
    }
    for k, jit in enumerate(JIT):
        found = [(i + 0.2 * (k - 1.5), here[p, jit]) for i, p in enumerate(PRECISIONS) if (p, jit) in here]
        if found:
            axes.bar(*zip(*found, strict=True), width=0.2, label=f"jit {jit}")
    axes.set_xticks(range(len(PRECISIONS)), PRECISIONS)
    axes.set_xlim(-0.5, len(PRECISIONS) - 0.5)
    axes.set(title=f"LAMMPS, ms a step: {student}, {atoms} atoms")
    axes.legend(frameon=False, fontsize=8)
    return True


def draw_errors(axes: Any, rows: list[Row]) -> bool:
    """Force error over speed-up: what a faster choice costs."""
    shown = [row for row in rows if row.get("force_error") and row.get("speed_up")]
    for precision, color in zip(PRECISIONS, COLORS, strict=True):
        for part, marker in (("lammps", "o"), ("python", "s")):
            points = [
                (r["speed_up"], r["force_error"]) for r in shown if (r["precision"], r["part"]) == (precision, part)
            ]
            if points:
                axes.scatter(*zip(*points, strict=True), marker=marker, color=color, label=f"{precision}, {part}")
    axes.set(title="Force error", xlabel="speed-up over PyTorch eager", ylabel="max |dF| / rms F, against fp64")
    axes.set(xscale="log", yscale="log")
    if shown:
        axes.legend(frameon=False, fontsize=8)
    return bool(shown)


def draw_drift(axes: Any, rows: list[Row]) -> bool:
    shown = [row for row in rows if row["part"] == "drift"]
    for row in shown:
        slope, error = row["drift_eV_per_atom_per_ns"], row["drift_error_eV_per_atom_per_ns"]
        axes.errorbar(PRECISIONS.index(row["precision"]), slope, error, fmt="o", capsize=4, color="tab:blue")
    axes.set_xticks(range(len(PRECISIONS)), PRECISIONS)
    axes.set_xlim(-0.5, len(PRECISIONS) - 0.5)
    axes.axhline(0.0, color="gray", linewidth=0.8)
    axes.set(title="Drift of the total energy", ylabel="eV/atom/ns")
    return bool(shown)
