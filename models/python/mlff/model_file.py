"""The one-file form of a student, ``name.pt``; the format is described in ``doc/model_format.md``.

A ``.pt`` file is a TorchScript archive (an ordinary zip file) with two more records:

* ``extra/mlff.json``: the header (sizes, cutoff, elements, provenance, checksum);
* ``extra/mlff.safetensors``: every parameter under its name, readable without Torch.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from datetime import date
from typing import Any

import torch
from safetensors.torch import load, save

from .painn import PaiNN

__all__ = ["ModelFileError", "archive_checksum", "load_model", "read_header", "save_model", "write_student"]

FORMAT = "mlff"
FORMAT_VERSION = 1
HEADER = "extra/mlff.json"
WEIGHTS = "extra/mlff.safetensors"

#: Fields that every header has, and those of each kind; who writes a file fills all of them.
REQUIRED_FIELDS = (
    "format", "format_version", "kind", "name", "num_interactions", "cutoff", "elements", "atomic_numbers",
    "reference_energies", "length_unit", "energy_unit", "dtype", "sha256",
)  # fmt: skip
REQUIRED_FIELDS_OF_KIND = {"painn": ("num_channels", "num_radial", "zbl_radii"), "custom": ("precisions",)}


class ModelFileError(ValueError):
    """A file is not a student, or is broken; the message says what was expected, what was found and what to do."""


def archive_checksum(archive: zipfile.ZipFile) -> str:
    """SHA-256 over all records but the header: over the lines ``<sha256 of the record>  <path>\\n``, sorted by path.

    Paths are relative to the archive's single top folder, so that renaming a file does not change its checksum.
    """
    lines = []
    for path in archive.namelist():
        relative = path.partition("/")[2]
        if relative != HEADER:
            lines.append((relative, f"{hashlib.sha256(archive.read(path)).hexdigest()}  {relative}\n"))
    return hashlib.sha256("".join(line for _, line in sorted(lines)).encode()).hexdigest()


def save_model(model: PaiNN, path: str | os.PathLike[str], name: str, **provenance: Any) -> None:
    """Write a student. ``provenance`` joins the header as it is: teacher, data, errors, license, references, ..."""
    model = model.eval().to("cpu", torch.float32)
    weights = {key: value.detach().contiguous() for key, value in model.state_dict().items()}
    header: dict[str, Any] = {
        "kind": "painn",
        "name": name,
        "num_channels": model.num_channels,
        "num_interactions": model.num_interactions,
        "num_radial": model.num_radial,
        "num_parameters": sum(value.numel() for value in weights.values()),
        "cutoff": model.cutoff,
        "elements": list(model.elements),
        "atomic_numbers": [int(z) for z in model.atomic_numbers],
        "reference_energies": list(model.reference_energies),
        "zbl_radii": list(model.zbl_radii),
        "norm_epsilon": model.norm_epsilon,
        "inner_switch": list(model.inner_switch),
        "dtype": "float32",
        "fp16_gradient_scale": 256.0,
        **provenance,
    }
    write_student(path, torch.jit.script(model), header, {"mlff.safetensors": save(weights)})


def write_student(
    path: str | os.PathLike[str],
    program: torch.jit.ScriptModule,
    fields: dict[str, Any],
    extra_files: dict[str, bytes] | None = None,
) -> None:
    """Write a program with a header of ``fields`` and of what is the same for all: format, units, date, checksum."""
    buffer = io.BytesIO()
    torch.jit.save(program, buffer, _extra_files=extra_files)
    header: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "length_unit": "Angstrom",
        "energy_unit": "eV",
        "date": date.today().isoformat(),
        "software": {"torch": torch.__version__},
        **fields,
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        top = source.namelist()[0].split("/", 1)[0]
        for record in source.namelist():
            if not record.endswith(".debug_pkl"):  # source paths of the machine that exported; nothing reads them
                archive.writestr(zipfile.ZipInfo(record), source.read(record))
        header["sha256"] = archive_checksum(archive)
        text = json.dumps(header, indent=1, ensure_ascii=False) + "\n"
        archive.writestr(zipfile.ZipInfo(f"{top}/{HEADER}"), text)
    with open(path, "wb") as file:
        file.write(packed.getvalue())


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The header of a student, with format, required fields and checksum verified."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _checked_header(archive, path)
    except zipfile.BadZipFile as error:  # also a CRC that does not fit
        raise ModelFileError(
            f"{path}: expected a student written by 'mlff export' (a zip archive), found something else or a "
            f"truncated or damaged file ({error}). Export the student again, or copy the file again."
        ) from None


def _checked_header(archive: zipfile.ZipFile, path: str | os.PathLike[str]) -> dict[str, Any]:
    top = archive.namelist()[0].split("/", 1)[0] if archive.namelist() else ""
    try:
        header = json.loads(archive.read(f"{top}/{HEADER}"))
    except KeyError:
        raise ModelFileError(
            f"{path}: expected a student with the record {HEADER}, found an archive without it (a raw "
            "checkpoint, a plain TorchScript file or a .pt2 package). Make a student with 'mlff export', or, of a "
            "module of your own, with 'mlff wrap'."
        ) from None
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise ModelFileError(
            f"{path}: expected a JSON object in {HEADER}, found something else. Export the student again."
        )
    if header.get("format") != FORMAT or header.get("format_version") != FORMAT_VERSION:
        raise ModelFileError(
            f"{path}: expected format {FORMAT} version {FORMAT_VERSION}, found {header.get('format')!r} version "
            f"{header.get('format_version')!r}. Use a matching version of this software or export the student again."
        )
    of_kind = REQUIRED_FIELDS_OF_KIND.get(str(header.get("kind")), ())
    missing = [field for field in (*REQUIRED_FIELDS, *of_kind) if field not in header]
    if missing:
        raise ModelFileError(f"{path}: the header lacks {', '.join(missing)}. Export the student again.")
    if not of_kind:
        raise ModelFileError(
            f"{path}: expected a student of kind {' or '.join(REQUIRED_FIELDS_OF_KIND)}, found {header['kind']!r}. Use "
            "a version of this software that knows it."
        )
    found = archive_checksum(archive)
    if found != header["sha256"]:
        raise ModelFileError(
            f"{path}: the header states the checksum {header['sha256']}, found {found}: the file was changed or "
            "damaged. Copy it again from its source."
        )
    return header


def load_model(path: str | os.PathLike[str]) -> tuple[PaiNN, dict[str, Any]]:
    """A trainable `PaiNN` with the file's weights, and the header."""
    header = read_header(path)
    if header["kind"] != "painn":
        raise ModelFileError(
            f"{path}: expected a student with the built-in network, found one of kind {header['kind']}, which runs in "
            "LAMMPS and ASE, and cannot be trained or compiled here. Name a student of 'mlff export'."
        )
    model = PaiNN(
        header["elements"],
        header["atomic_numbers"],
        header["num_channels"],
        header["num_interactions"],
        header["num_radial"],
        header["cutoff"],
        header["reference_energies"],
        header["zbl_radii"],
        header.get("norm_epsilon", 1e-8),
        header.get("inner_switch", (0.0, 0.0)),
    )
    with zipfile.ZipFile(path) as archive:
        top = archive.namelist()[0].split("/", 1)[0]
        model.load_state_dict(load(archive.read(f"{top}/{WEIGHTS}")))
    return model, header
