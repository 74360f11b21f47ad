"""The file of a student: readable without Torch, the same after a round trip, and a message for each broken one."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mlff.model_file import ModelFileError, load_model, read_header, save_model
from mlff.painn import PaiNN

REFERENCE = Path(__file__).parent.parent / "reference"
STUDENTS = ["painn-tiny-v1", "painn-t3-v1"]
HEADER, WEIGHTS = "extra/mlff.json", "extra/mlff.safetensors"


def read_records(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def write_records(path: Path, records: dict[str, bytes], top: str = "any") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in records.items():
            archive.writestr(f"{top}/{name}", content)
    return path


def parse_safetensors(content: bytes) -> dict[str, np.ndarray]:
    """By hand, from the documented layout."""
    (size,) = struct.unpack("<Q", content[:8])
    table = json.loads(content[8 : 8 + size])
    data = content[8 + size :]
    weights = {}
    for name, entry in table.items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32"
            begin, end = entry["data_offsets"]
            weights[name] = np.frombuffer(data[begin:end], dtype="<f4").reshape(entry["shape"])
    return weights


@pytest.mark.parametrize("student", STUDENTS)
def test_weights_and_header_need_no_torch(student: str) -> None:
    path = REFERENCE / f"{student}.pt"
    records = read_records(path)
    header = json.loads(records[HEADER])
    weights = parse_safetensors(records[WEIGHTS])

    program = torch.jit.load(str(path))
    parameters = {name: value.detach().numpy() for name, value in program.named_parameters()}
    assert set(parameters) == set(weights)
    for name, value in parameters.items():
        np.testing.assert_array_equal(weights[name], value, err_msg=name)
    assert header["num_parameters"] == sum(value.size for value in weights.values())
    assert weights["embedding"].shape == (len(header["elements"]), header["num_channels"])
    assert weights["interactions.0.filter.weight"].shape == (3 * header["num_channels"], header["num_radial"] + 1)


@pytest.mark.parametrize("student", STUDENTS)
def test_checksum_is_the_documented_one(student: str) -> None:
    records = read_records(REFERENCE / f"{student}.pt")
    expected = json.loads(records.pop(HEADER))["sha256"]
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(records.items())]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == expected


def test_file_holds_no_path_of_the_exporting_machine() -> None:
    assert not [name for name in read_records(REFERENCE / "painn-tiny-v1.pt") if name.endswith(".debug_pkl")]


def make_student(seed: int) -> PaiNN:
    torch.manual_seed(seed)
    return PaiNN(
        ["O", "H"], [8, 1], 8, 2, 4, 3.5, [-1.1, -0.3], [0.66, 0.31], norm_epsilon=0.3, inner_switch=(0.2, 0.6)
    )


def test_round_trip(tmp_path: Path) -> None:
    student = make_student(3)
    teacher = {"name": "none", "version": "0"}
    save_model(student, tmp_path / "a.pt", "round-trip", teacher=teacher, errors={"force MAE [meV/A]": 12.5})
    loaded, header = load_model(tmp_path / "a.pt")
    assert header == read_header(tmp_path / "a.pt")
    assert (header["name"], header["teacher"], header["errors"]) == ("round-trip", teacher, {"force MAE [meV/A]": 12.5})
    for field in ("elements", "num_channels", "num_interactions", "num_radial", "cutoff", "zbl_radii", "norm_epsilon"):
        assert getattr(loaded, field) == getattr(student, field) == header[field]
    assert loaded.inner_switch == student.inner_switch == tuple(header["inner_switch"])
    assert loaded.reference_energies == student.reference_energies
    for (name, value), (other, expected) in zip(loaded.state_dict().items(), student.state_dict().items(), strict=True):
        assert name == other and torch.equal(value, expected)


def test_file_of_old_is_what_it_was() -> None:
    header, model = read_header(REFERENCE / "painn-tiny-v1.pt"), load_model(REFERENCE / "painn-tiny-v1.pt")[0]
    assert "norm_epsilon" not in header and model.norm_epsilon == 1e-8
    assert "inner_switch" not in header and model.inner_switch == (0.0, 0.0)


def test_renaming_keeps_the_checksum(tmp_path: Path) -> None:
    save_model(make_student(3), tmp_path / "a.pt", "one")
    write_records(tmp_path / "b.pt", read_records(tmp_path / "a.pt"), top="another")
    assert read_header(tmp_path / "a.pt") == read_header(tmp_path / "b.pt")


# ---------------------------------------------------------------- broken files


def message_of(path: Path) -> str:
    with pytest.raises(ModelFileError) as error:
        read_header(path)
    assert str(path) in str(error.value)
    return str(error.value)


def changed_header(path: Path, change: Callable[[dict], object]) -> Path:
    records = read_records(REFERENCE / "painn-tiny-v1.pt")
    header = json.loads(records[HEADER])
    change(header)
    return write_records(path, records | {HEADER: json.dumps(header).encode()})


def test_not_an_archive(tmp_path: Path) -> None:
    for name, content in {"empty.pt": b"", "text.pt": b"units metal\n"}.items():
        (tmp_path / name).write_bytes(content)
        assert "zip archive" in message_of(tmp_path / name)


def test_truncated(tmp_path: Path) -> None:
    (tmp_path / "half.pt").write_bytes((REFERENCE / "painn-tiny-v1.pt").read_bytes()[:40000])
    assert "truncated" in message_of(tmp_path / "half.pt")


def test_files_of_torch_without_our_header(tmp_path: Path) -> None:
    student = make_student(1)
    torch.save(student.state_dict(), tmp_path / "state.pt")
    torch.jit.save(torch.jit.script(student), tmp_path / "plain.pt")
    write_records(tmp_path / "package.pt2", {"archive_format": b"pt2", "models/model.json": b"{}"})
    for name in ("state.pt", "plain.pt", "package.pt2"):
        assert HEADER in (message := message_of(tmp_path / name)) and "mlff export" in message


def test_other_archives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        archive.writestr("readme.txt", "no folder")
    for name in ("empty.zip", "flat.zip"):
        assert HEADER in message_of(tmp_path / name)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_header_that_is_no_object(tmp_path: Path, text: str) -> None:
    records = read_records(REFERENCE / "painn-tiny-v1.pt") | {HEADER: text.encode()}
    assert "JSON object" in message_of(write_records(tmp_path / "a.pt", records))


def test_wrong_version(tmp_path: Path) -> None:
    message = message_of(changed_header(tmp_path / "a.pt", lambda header: header.update(format_version=99)))
    assert "version 1" in message and "99" in message


def test_missing_field_is_named(tmp_path: Path) -> None:
    assert "zbl_radii" in message_of(changed_header(tmp_path / "a.pt", lambda header: header.pop("zbl_radii")))


def test_changed_weight(tmp_path: Path) -> None:
    records = read_records(REFERENCE / "painn-tiny-v1.pt")
    content = bytearray(records["data/0"])
    content[5] ^= 1
    message = message_of(write_records(tmp_path / "a.pt", records | {"data/0": bytes(content)}))
    assert "checksum" in message and "changed or damaged" in message


def test_flipped_byte_fails_the_crc(tmp_path: Path) -> None:
    content = bytearray((REFERENCE / "painn-tiny-v1.pt").read_bytes())
    content[content.index(read_records(REFERENCE / "painn-tiny-v1.pt")["data/0"]) + 5] ^= 1
    (tmp_path / "a.pt").write_bytes(content)
    assert "CRC" in message_of(tmp_path / "a.pt")
