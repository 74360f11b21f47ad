"""The rule that a skip fails a run, on output that ctest, GoogleTest and pytest really write."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bootstrap import verdict

GOOGLETEST = """Running main() from ./googletest/src/gtest_main.cc
[==========] Running 3 tests from 1 test suite.
[----------] Global test environment set-up.
[----------] 3 tests from Edges
[ RUN      ] Edges.Cubic
[       OK ] Edges.Cubic (0 ms)
[ RUN      ] Edges.OnDevice
/src/test_edges.cpp:12: Skipped
no GPU

[  SKIPPED ] Edges.OnDevice (0 ms)
[ RUN      ] Edges.Slanted
/src/test_edges.cpp:20: Failure
Expected: 1
[  FAILED  ] Edges.Slanted (0 ms)
[----------] 3 tests from Edges (0 ms total)

[==========] 3 tests from 1 test suite ran. (0 ms total)
[  PASSED  ] 1 test.
[  SKIPPED ] 1 test, listed below:
[  SKIPPED ] Edges.OnDevice
[  FAILED  ] 1 test, listed below:
[  FAILED  ] Edges.Slanted

 1 FAILED TEST
"""


def entry(output: str, status: str = "run", message: str = "") -> verdict.Entry:
    return verdict.Entry("entry", status, 1.5, ["unit"], message, output)


def test_googletest_cases_are_counted_with_their_reasons() -> None:
    count = verdict.count_entry(entry(GOOGLETEST, "fail", "Failed"))
    assert count.passed == 1
    assert count.failed == ["entry: Edges.Slanted"]
    assert count.skips == [verdict.Skip("entry: Edges.OnDevice", "no GPU")]


def test_googletest_disabled_case_is_a_skip() -> None:
    output = "[==========] Running 1 test from 1 test suite.\n[       OK ] A.B (0 ms)\n\n  YOU HAVE 2 DISABLED TESTS\n"
    count = verdict.count_entry(entry(output))
    assert count.passed == 1
    assert [skip.reason for skip in count.skips] == ["disabled in the source"] * 2


def test_crash_after_passing_cases_is_a_failure() -> None:
    output = "[==========] Running 2 tests from 1 test suite.\n[       OK ] A.B (0 ms)\n[ RUN      ] A.C\n"
    count = verdict.count_entry(entry(output, "fail", "SEGFAULT"))
    assert count.passed == 1
    assert count.failed == ["entry: SEGFAULT"]


def test_program_that_is_missing_is_a_failure() -> None:
    count = verdict.count_entry(entry("", "notrun", "Unable to find executable"))
    assert count.passed == 0
    assert len(count.failed) == 1


def test_entry_without_a_case_is_a_failure() -> None:
    assert verdict.count_entry(entry("\nno tests ran in 0.01s\n")).failed == ["entry: no test ran in it"]
    empty = "[==========] Running 0 tests from 0 test suites.\n"
    assert verdict.count_entry(entry(empty)).failed == ["entry: no test ran in it"]


def test_entry_that_is_neither_counts_once() -> None:
    assert verdict.count_entry(entry("hello")).passed == 1
    assert len(verdict.count_entry(entry("hello", "fail")).failed) == 1


def test_pytest_output_is_read(tmp_path: Path) -> None:
    """pytest itself writes the output, so that a new pytest with new words is noticed."""
    file = tmp_path / "test_sample.py"
    file.write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2\n"
        "def test_skipped(): pytest.skip('no GPU')\n"
        "@pytest.mark.skipif(True, reason='matscipy: not installed')\n"
        "def test_marked(): pass\n"
        "@pytest.mark.xfail\n"
        "def test_expected(): assert 1 == 2\n"
        "@pytest.fixture\n"
        "def broken(): raise ValueError\n"
        "def test_error(broken): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(file)]
    output = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout
    count = verdict.count_pytest("entry", output)
    assert count is not None
    assert count.passed == 1
    assert sorted(count.failed) == ["entry: test_bad", "entry: test_error"]
    assert sorted(skip.reason for skip in count.skips) == ["matscipy: not installed", "no GPU", "xfailed"]


@pytest.mark.parametrize(
    ("reason", "is_refused"), [("no GPU", False), ("no gpu", True), ("no GPU today", True), ("", True), ("slow", True)]
)
def test_only_listed_reasons_are_allowed(tmp_path: Path, reason: str, is_refused: bool) -> None:
    listing = tmp_path / "allowed_skips.txt"
    listing.write_text("# a comment\nno GPU  # another\n\n")
    skips = [verdict.Skip("some test", reason)]
    assert bool(verdict.refused(skips, verdict.allowed_reasons(listing))) == is_refused


def test_list_of_the_checkout_allows_no_more_than_a_missing_gpu() -> None:
    assert verdict.allowed_reasons(Path(__file__).parents[1] / "allowed_skips.txt") == {"no GPU"}


def test_junit_file_of_ctest_is_read(tmp_path: Path) -> None:
    """ctest itself writes the file: a pass, a failure, a skip by return code, a missing program; labels and times."""
    ctest = shutil.which("ctest")
    assert ctest, "expected ctest in the PATH"
    (tmp_path / "CTestTestfile.cmake").write_text(
        'add_test(good "/bin/sh" "-c" "echo fine")\nset_tests_properties(good PROPERTIES LABELS "unit;fast")\n'
        'add_test(bad "/bin/sh" "-c" "exit 1")\n'
        'add_test(skipped "/bin/sh" "-c" "echo no GPU; exit 77")\n'
        "set_tests_properties(skipped PROPERTIES SKIP_RETURN_CODE 77)\n"
        'add_test(missing "/nowhere/program")\n'
    )
    junit = tmp_path / "junit.xml"
    subprocess.run([ctest, "--test-dir", str(tmp_path), "--output-junit", str(junit)], capture_output=True)
    listing = subprocess.run(
        [ctest, "--test-dir", str(tmp_path), "--show-only=json-v1"], capture_output=True, text=True
    )
    labels = verdict.read_labels(listing.stdout)
    entries = {found.name: found for found in verdict.read_junit(junit, labels)}
    counts = {name: verdict.count_entry(found) for name, found in entries.items()}
    assert (counts["good"].passed, counts["good"].failed, counts["good"].skips) == (1, [], [])
    assert len(counts["bad"].failed) == 1
    assert counts["skipped"].skips == [verdict.Skip("skipped", "no GPU")]
    assert len(counts["missing"].failed) == 1
    assert sorted(entries["good"].labels) == ["fast", "unit"]
    assert set(verdict.seconds_by_label([entries["good"]])) == {"unit", "fast"}
