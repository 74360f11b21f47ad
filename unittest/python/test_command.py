"""The command `mlff`: what it prints, and one sentence for every mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mlff.command import main

REFERENCE = Path(__file__).parent.parent / "reference"


def test_info_prints_the_header(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(REFERENCE / "painn-tiny-v1.pt")]) == 0
    text = capsys.readouterr().out
    for part in ("painn-tiny-v1", "16 channels, 2 interactions, 8 radial functions", "H (", "O (", "(verified)"):
        assert part in text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("absent.pt", None, "absent.pt"), ("text.pt", b"hello", "expected a student written by 'mlff export'")],
)
def test_info_of_something_else_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["info", str(tmp_path / name)]) == 1
    error = capsys.readouterr().err
    assert message in error and error.startswith("mlff: ") and error.count("\n") == 1


def test_runs_as_a_module() -> None:
    package = Path(__file__).parent.parent.parent / "models" / "python"
    command = [sys.executable, "-m", "mlff", "--version"]
    result = subprocess.run(command, cwd=package, capture_output=True, text=True)
    assert result.stdout == "mlff 0.1.0\n"


def test_import_is_quick_and_loads_no_torch() -> None:
    package = Path(__file__).parent.parent.parent / "models" / "python"
    code = "import sys, mlff; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=package).returncode == 0
