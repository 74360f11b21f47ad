"""The last line of a test run and its exit status."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from bootstrap import settings
from bootstrap.lammps import Lammps
from bootstrap.plugin import PluginBuild
from bootstrap.progress import Progress
from bootstrap.python_venv import CheckoutVenv, SharedVenv
from bootstrap.shell import Shell
from bootstrap.tests import Suite
from bootstrap.verdict import Count, Skip


@pytest.mark.parametrize(
    ("count", "good", "last"),
    [
        (Count(passed=3), True, "3 passed, 0 failed, 0 skipped"),
        (Count(passed=3, failed=["a test"]), False, "3 passed, 1 failed, 0 skipped"),
        (Count(passed=3, skips=[Skip("a test", "no GPU")]), True, "3 passed, 0 failed, 1 skipped"),
        (Count(passed=3, skips=[Skip("a test", "too slow")]), False, "3 passed, 1 failed, 1 skipped"),
        (Count(passed=0), False, "0 passed, 0 failed, 0 skipped"),
    ],
)
def test_last_line_and_outcome(tmp_path: Path, count: Count, good: bool, last: str) -> None:
    out = io.StringIO()
    venv = CheckoutVenv(SharedVenv(settings.TORCH_VERSION, for_tests=True))
    suite = Suite(PluginBuild(tmp_path, Lammps(settings.LAMMPS, []), venv, []))
    suite.total.add(count)
    assert suite.conclude(Shell(tmp_path / "log", Progress(out))) == good
    lines = out.getvalue().splitlines()
    assert lines[-1] == last
    for name in [*count.failed, *(skip.name for skip in count.skips)]:
        assert any(name in line for line in lines[:-1]), "each failure and each skip is named"
