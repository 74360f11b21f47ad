"""The command `mlff`: what it prints, one sentence for each mistake, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import mlff
import pytest
from mlff import command
from mlff.command import COMMANDS, main

REFERENCE = Path(__file__).parent.parent / "reference"
STUDENT = REFERENCE / "painn-tiny-v1.pt"


def test_info_prints_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(STUDENT)]) == 0
    text = capsys.readouterr().out
    for part in (
        "painn-tiny-v1: a student of format mlff version 1",
        "painn, 16 channels, 2 interactions, 8 radial functions, float32",
        "6,929",
        "5 Angstrom",
        "H (Z = 1), reference energy -0.600000 eV, repulsion within 0.31 Angstrom",
        "O (Z = 8), reference energy -0.870000 eV",
        "none: random weights",
        "MIT",
        "(verified)",
    ):
        assert part in text


def test_info_shows_every_field_of_the_header(capsys: pytest.CaptureFixture[str]) -> None:
    from mlff.info import card
    from mlff.model_file import read_header

    header = {
        **read_header(STUDENT),
        "teacher": {"name": "7net-mf-0", "license": "GPL-3"},
        "data": {"frames": 3000},
        "errors": {"liquid": {"force_mae": 12.5}},
        "references": ["paper one", "paper two"],
        "something_new": {"deep": ["x1", "x2"]},
    }
    lines = card(header).splitlines()
    for part in (
        "name: 7net-mf-0",
        "license: GPL-3",
        "frames: 3000",
        "force_mae: 12.5",
        "paper one",
        "paper two",
        "x1",
    ):
        assert sum(part in line for line in lines) == 1, part


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """A file for each mistake, and words that its sentence must have."""
    text, cut, flipped = folder / "in.water", folder / "cut.pt", folder / "flipped.pt"
    text.write_text("units metal\n")
    content = STUDENT.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    damaged = bytearray(content)
    damaged[len(content) // 3] ^= 1
    flipped.write_bytes(damaged)
    return {
        "text": (text, "expected a student written by 'mlff export'"),
        "truncated": (cut, "truncated or damaged"),
        "flipped": (flipped, "damaged"),
        "absent": (folder / "absent.pt", "No such file or directory"),
        "folder": (folder, "Is a directory"),
    }


@pytest.mark.parametrize("mistake", ["text", "truncated", "flipped", "absent", "folder"])
def test_a_wrong_file_is_one_sentence(mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, words = broken_files(tmp_path)[mistake]
    assert main(["info", str(path)]) == 1
    output = capsys.readouterr()
    assert output.out == "" and len(output.err.splitlines()) == 1
    assert output.err.startswith(f"mlff: {path}") and words in output.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out == f"mlff {mlff.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["fry"], ["info"], ["info", "a", "b"]])
def test_wrong_usage_is_exit_code_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert capsys.readouterr().err.startswith("usage: mlff")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert name in text and entry.help.split()[0] in text


def test_arguments_reach_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []

    def task(name: str) -> types.SimpleNamespace:
        return types.SimpleNamespace(
            run=lambda *a: calls.append((name, *a)), add_arguments=lambda p: p.add_argument("lmp")
        )

    monkeypatch.setattr(command, "task", task)
    assert main(["train", "run.toml"]) == 0
    assert main(["distill", "run.toml"]) == 0
    assert main(["export", "a.ckpt", "b.pt", "--name", "water"]) == 0
    assert main(["export", "a.ckpt", "b.pt"]) == 0
    assert main(["doctor", "path/lmp"]) == 0
    assert calls[:4] == [
        ("train", "run.toml"),
        ("distill", "run.toml"),
        ("export", "a.ckpt", "b.pt", "water"),
        ("export", "a.ckpt", "b.pt", None),
    ]
    assert calls[4][0] == "doctor" and calls[4][1].lmp == "path/lmp"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("result", "code"), [(3, 3), (0, 0), (None, 0), ({"force_mae": 0.04}, 0)])
def test_exit_code_of_a_task_is_passed_on(monkeypatch: pytest.MonkeyPatch, result: object, code: int) -> None:
    monkeypatch.setattr(command, "task", lambda name: types.SimpleNamespace(run=lambda *a: result))
    assert main(["train", "run.toml"]) == code


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ModuleNotFoundError("No module named 'h5py'", name="h5py"), "'mlff train' needs the package h5py"),
        (ImportError("neighbors='x' needs the package x"), "neighbors='x' needs the package x"),
    ],
)
def test_a_missing_package_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: ImportError, sentence: str
) -> None:
    def task(name: str) -> types.ModuleType:
        raise error

    monkeypatch.setattr(command, "task", task)
    assert main(["train", "run.toml"]) == 1
    assert capsys.readouterr().err.startswith(f"mlff: {sentence}")


def test_a_sentence_of_the_package_has_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlff.neighbors import choose_method

    monkeypatch.setattr(command, "task", lambda name: types.SimpleNamespace(run=lambda *a: choose_method("kdtree")))
    assert main(["train", "run.toml"]) == 1
    assert capsys.readouterr().err.startswith("mlff: neighbors: expected auto, matscipy")


def test_a_fault_elsewhere_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("shapes do not fit")

    monkeypatch.setattr(command, "task", lambda name: types.SimpleNamespace(run=fail))
    with pytest.raises(ValueError, match="shapes do not fit"):
        main(["train", "run.toml"])


@pytest.mark.parametrize("arguments", [["info", str(STUDENT)], ["info", "absent.pt"]])
def test_python_m_mlff_is_the_command(arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    package = str(Path(mlff.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": package}
    result = subprocess.run(
        [sys.executable, "-m", "mlff", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == main(arguments)
    expected = capsys.readouterr()
    assert (result.stdout, result.stderr) == (expected.out, expected.err)
