"""The card of a student: what ``mlff info FILE`` prints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from .model_file import read_header

__all__ = ["card", "run"]

#: Fields of `card` with lines of their own; all others are printed as they are, below.
SHOWN = {
    "format", "format_version", "kind", "name", "num_channels", "num_interactions", "num_radial", "num_parameters",
    "cutoff", "elements", "atomic_numbers", "reference_energies", "zbl_radii", "length_unit", "energy_unit", "dtype",
    "sha256", "date", "contributor", "teacher", "data", "errors", "license", "references", "software",
    "fp16_gradient_scale",
}  # fmt: skip


def card(header: dict[str, Any]) -> str:
    """The header of a student as text."""
    length, energy = header["length_unit"], header["energy_unit"]
    lines = [f"{header['name']}: a student of format {header['format']} version {header['format_version']}"]

    def add(label: str, value: Any) -> None:
        if value not in (None, "", [], {}):
            first, *rest = flat(value)
            lines.append(f"  {label:<13} {first}")
            lines.extend(f"  {'':<13} {line}" for line in rest)

    add(
        "network",
        f"{header['kind']}, {header['num_channels']} channels, {header['num_interactions']} interactions, "
        f"{header['num_radial']} radial functions, {header['dtype']}",
    )
    add("parameters", f"{header['num_parameters']:,}" if "num_parameters" in header else None)
    add("cutoff", f"{header['cutoff']:g} {length}")
    add(
        "elements",
        [
            f"{symbol} (Z = {number}), reference energy {reference:.6f} {energy}, repulsion within {radius:g} {length}"
            for symbol, number, reference, radius in zip(
                header["elements"],
                header["atomic_numbers"],
                header["reference_energies"],
                header["zbl_radii"],
                strict=True,
            )
        ],
    )
    for field in ("teacher", "data", "errors", "date", "contributor", "license", "references", "software"):
        add(field, header.get(field))
    for field in sorted(set(header) - SHOWN):
        add(field, header[field])
    add("checksum", f"{header['sha256']} (verified)")
    return "\n".join(lines)


def flat(value: Any) -> Iterator[str]:
    """Lines of a value: items of a list, or ``key: value`` of an object, nested ones indented."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, dict | list) and item:
                yield f"{key}:"
                yield from (f"  {line}" for line in flat(item))
            else:
                yield f"{key}: {item}"
    elif isinstance(value, list):
        for item in value:
            yield from flat(item)
    else:
        yield from str(value).splitlines()


def run(file: str | os.PathLike[str]) -> None:
    """Print the card of a student; a file that is none raises `ModelFileError`, which says what it is."""
    print(card(read_header(file)))
