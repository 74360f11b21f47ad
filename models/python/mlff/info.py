"""What a student's file says of itself."""

from __future__ import annotations

import os
from typing import Any

from .model_file import read_header

__all__ = ["describe"]


def describe(path: str | os.PathLike[str]) -> str:
    """The header of a student as text; raises `ModelFileError` for what is no student."""
    header = read_header(path)
    rows = [
        ("student", f"{header['name']} (format {header['format_version']}, kind {header['kind']})"),
        (
            "network",
            f"{header['num_channels']} channels, {header['num_interactions']} interactions, "
            f"{header['num_radial']} radial functions, {header.get('num_parameters', 'unknown number of')} parameters",
        ),
        ("cutoff", f"{header['cutoff']} {header['length_unit']}"),
        (
            "elements",
            ", ".join(
                f"{symbol} ({energy:.6g} {header['energy_unit']}, ZBL radius {radius:g})"
                for symbol, energy, radius in zip(
                    header["elements"], header["reference_energies"], header["zbl_radii"], strict=True
                )
            ),
        ),
        ("checksum", f"{header['sha256']} (verified)"),
    ]
    for field in ("teacher", "data", "errors", "date", "contributor", "license", "software"):
        if header.get(field):
            rows.append((field, _one_line(header[field])))
    text = "".join(f"{label:<12} {value}\n" for label, value in rows)
    return text + "".join(f"\n{reference.strip()}\n" for reference in header.get("references", []))


def _one_line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_one_line(item)}" for name, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
