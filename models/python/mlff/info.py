"""The card of a student, or of a compiled one: what ``mlff info FILE`` prints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .aot import device_name, read_package
from .model_file import read_header

__all__ = ["card", "package_card", "run"]

#: Fields of `card` with lines of their own; all others are printed as they are, below.
SHOWN = {
    "format", "format_version", "kind", "name", "num_channels", "num_interactions", "num_radial", "num_parameters",
    "cutoff", "elements", "atomic_numbers", "reference_energies", "zbl_radii", "length_unit", "energy_unit", "dtype",
    "sha256", "date", "contributor", "teacher", "data", "errors", "license", "references", "software",
    "fp16_gradient_scale", "precisions",
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

    custom = header["kind"] == "custom"
    size = (
        f"an energy depends on atoms up to {header['num_interactions']} edges away, in {' '.join(header['precisions'])}"
        if custom
        else f"{header['num_channels']} channels, {header['num_interactions']} interactions, "
        f"{header['num_radial']} radial functions"
    )
    add("network", f"{header['kind']}, {size}, {header['dtype']}")
    add("parameters", f"{header['num_parameters']:,}" if "num_parameters" in header else None)
    add("cutoff", f"{header['cutoff']:g} {length}")
    add(
        "elements",
        [
            f"{symbol} (Z = {number}), reference energy {reference:.6f} {energy}"
            + ("" if custom else f", repulsion within {radius:g} {length}")
            for symbol, number, reference, radius in zip(
                header["elements"],
                header["atomic_numbers"],
                header["reference_energies"],
                header.get("zbl_radii", [0.0] * len(header["elements"])),
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


def package_card(metadata: dict[str, str]) -> str:
    """The metadata of a compiled student as text."""
    shown = {"format", "format_version", "sha256", "name", "device", "precision", "torch", "cutoff", "elements"}
    shown |= {"instruction_set", "compute_capability"}  # in the device's name
    lines = [
        ("precision", metadata["precision"]),
        ("device", device_name(metadata)),
        ("cutoff", f"{float(metadata['cutoff']):g} Angstrom"),
        ("elements", metadata["elements"]),
        ("software", f"torch: {metadata['torch']}"),
        *((field, metadata[field]) for field in sorted(set(metadata) - shown) if not field.startswith("AOTI_")),
        ("checksum", f"{metadata['sha256']} (of the student it was compiled from)"),
    ]
    title = (
        f"{metadata['name']}: a compiled student of format {metadata['format']} version {metadata['format_version']}"
    )
    return "\n".join([title, *(f"  {label:<13} {value}" for label, value in lines)])


def run(file: str | os.PathLike[str]) -> None:
    """Print the card of a student (.pt) or a compiled one (.pt2).

    A file that is neither raises `ModelFileError` or `PackageError`, which says what it is.
    """
    print(package_card(read_package(file)) if Path(file).suffix == ".pt2" else card(read_header(file)))
