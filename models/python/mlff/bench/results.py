"""Rows of the benchmark in one JSON file, written anew after every row, and what two such files say together."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from ..data import write_atomically

__all__ = ["KEY", "Results", "Row", "compare", "describe", "same_place", "table"]

Row = dict[str, Any]

FORMAT = "mlff-bench"
FORMAT_VERSION = 1

#: Fields that tell rows apart; all of them are in every row.
KEY = ("part", "student", "atoms", "engine", "precision", "jit", "device", "flags")

#: Fields of a setting's machine that must be equal for times to be compared.
PLACE = ("processor", "cores", "gpu", "threads")

#: What speed-ups are relative to, by part: the engine, at the same student, size and place.
BASELINE = {"python": ("python", "eager"), "lammps": ("python", "eager"), "neighbors": ("neighbors", "brute")}


class Results:
    """A file of rows. Each names the setting (machine, versions, commit) it was measured in, by its index."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.settings: list[dict[str, Any]] = []
        self.students: dict[str, Any] = {}
        self.rows: list[Row] = []
        self.setting = 0
        self.lock = threading.Lock()

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Results:
        """A file that `write` wrote."""
        results = Results(path)
        try:
            content = json.loads(results.path.read_text())
        except ValueError:
            content = None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"{path}: expected results of 'mlff bench' (JSON), found something else")
        if content.get("format_version") != FORMAT_VERSION:
            raise ValueError(
                f"{path}: expected format {FORMAT} version {FORMAT_VERSION}, found version "
                f"{content.get('format_version')}. Measure again, with this version of mlff."
            )
        results.settings, results.students = content["settings"], content["students"]
        results.rows = content["rows"]
        return results

    def use_setting(self, setting: dict[str, Any]) -> None:
        """Rows added from now on were measured there."""
        if setting not in self.settings:
            self.settings.append(setting)
        self.setting = self.settings.index(setting)

    def find(self, key: Row) -> Row | None:
        """The row of a key, if it is there."""
        return next((row for row in self.rows if all(row[field] == key[field] for field in KEY)), None)

    def add(self, key: Row, values: Row) -> Row:
        """Append a row and write the file; a row that failed earlier is replaced."""
        row = {**key, "setting": self.setting, "reason": None, **values}
        with self.lock:
            self.rows = [other for other in self.rows if any(other[field] != key[field] for field in KEY)] + [row]
            self.compute_speed_ups()
            self.write()
        return row

    def compute_speed_ups(self) -> None:
        """Time of the baseline over the row's own; None where either failed, or was measured elsewhere."""
        for row in self.rows:
            base = next((other for other in self.rows if self.is_baseline(other, row)), None)
            known = base is not None and base.get("ms") and row.get("ms")
            row["speed_up"] = base["ms"] / row["ms"] if base is not None and known else None

    def is_baseline(self, base: Row, row: Row) -> bool:
        return (
            (base["part"], base["engine"]) == BASELINE.get(row["part"])
            and (base["student"], base["atoms"]) == (row["student"], row["atoms"])
            and same_place(self.settings[base["setting"]], self.settings[row["setting"]])
        )

    def write(self) -> None:
        content = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "settings": self.settings,
            "students": self.students,
            "rows": self.rows,
        }
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        write_atomically(self.path, lambda temporary: temporary.write_text(text))


def same_place(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether times measured in two settings can be compared."""
    return all(a["machine"].get(field) == b["machine"].get(field) for field in PLACE)


def describe(row: Row) -> str:
    """A row's key in words."""
    engine = row["engine"] if row["engine"] != row["part"] else None
    words = (row["part"], row["student"], f"{row['atoms']} atoms", engine, row["precision"], row["jit"])
    return " ".join(word for word in words if word)


def compare(new: Results, old: Results, percent: float) -> tuple[list[str], bool]:
    """Lines about rows that both files have, and whether any of the new ones is a regression."""
    lines, regressed, compared = [], 0, 0
    for row in new.rows:
        before = old.find(row)
        if before is None or before.get("ms") is None:
            continue
        here, there = new.settings[row["setting"]], old.settings[before["setting"]]
        if not same_place(here, there):
            differing = [f for f in PLACE if here["machine"].get(f) != there["machine"].get(f)]
            found = ", ".join(f"{f} {there['machine'].get(f)} then, {here['machine'].get(f)} now" for f in differing)
            lines.append(f"not comparable: {describe(row)}: {found}")
            continue
        compared += 1
        if row.get("ms") is None:
            regressed += 1
            lines.append(f"REGRESSION: {describe(row)}: {before['ms']:.4g} ms then, now: {row['reason']}")
        elif row["ms"] > (1 + percent / 100) * before["ms"]:
            regressed += 1
            change = 100 * (row["ms"] / before["ms"] - 1)
            lines.append(
                f"REGRESSION: {describe(row)}: {before['ms']:.4g} ms then, {row['ms']:.4g} now (+{change:.0f} %)"
            )
    lines.append(f"compared with {old.path}: {compared} rows, {regressed} slower by more than {percent:g} % or failed")
    return lines, regressed > 0


def table(rows: list[Row]) -> str:
    """All rows as text."""

    def number(row: Row, field: str, form: str) -> str:
        return "-" if row.get(field) is None else format(row[field], form)

    lines = [f"{'':<58} {'ms':>10} {'atom-steps/s':>13} {'MB':>8} {'dF':>9} {'speed-up':>9}"]
    for row in rows:
        line = f"{describe(row):<58} {number(row, 'ms', '10.4g'):>10} {number(row, 'atom_steps_per_s', '13.4g'):>13}"
        line += f" {number(row, 'memory_MB', '8.0f'):>8} {number(row, 'force_error', '9.1e'):>9}"
        line += f" {number(row, 'speed_up', '9.2f'):>9}"
        if row.get("drift_eV_per_atom_per_ns") is not None:
            error = row["drift_error_eV_per_atom_per_ns"]
            line += f"  drift {row['drift_eV_per_atom_per_ns']:.2e} +- {error:.1e} eV/atom/ns"
        lines.append(line if row["reason"] is None else f"{describe(row):<58} {row['reason']}")
    return "\n".join(lines)
