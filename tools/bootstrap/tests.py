"""The tests: format, warnings as errors, ctest, the sanitizers, a machine without CUDA; and one verdict over them."""

from __future__ import annotations

import time
from pathlib import Path

from . import faults, settings, verdict
from .failure import Failure
from .plugin import PluginBuild
from .progress import duration
from .shell import CTEST, NINJA, Shell, ask, counted
from .steps import Step

ALLOWED_SKIPS = settings.CHECKOUT / "unittest" / "allowed_skips.txt"
CLANG_FORMAT = "clang-format-14"
# No toolkit may be found even where one is installed: neither by CMake's own search nor by a compiler in the PATH.
WITHOUT_CUDA = [
    "-D", "CMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON", "-D", "CMAKE_DISABLE_FIND_PACKAGE_CUDA=ON",
    "-D", "CMAKE_CUDA_COMPILER=CMAKE_CUDA_COMPILER-NOTFOUND", "-D", "CMAKE_IGNORE_PATH=/usr/local/cuda/bin",
]  # fmt: skip


class Suite:
    """Each step adds what it finds to one count, so that the last line speaks for the whole run."""

    def __init__(self, build: PluginBuild) -> None:
        self.build = build
        self.total = verdict.Count()
        self.entries: list[verdict.Entry] = []
        self.started = time.monotonic()

    def steps(self) -> list[Step]:
        return [
            Step("format and types of sources", 30, _never, self._format),
            *self.build_and_test_steps(),
            Step("unit tests with AddressSanitizer and UBSan", 240, _never, self._sanitize),
            Step("configure without a CUDA toolkit", 10, _never, self._configure_without_cuda),
            Step("planted faults", 150, _never, self._plant_faults),
        ]

    def build_and_test_steps(self) -> list[Step]:
        return [self.build.step("plugin and tests: build", 240), Step("tests", 150, _never, self._test)]

    # ---- steps
    def _format(self, shell: Shell) -> None:
        files = source_files()
        cpp = [name for name in files if name.endswith((".cpp", ".h"))]
        python = [name for name in files if name.endswith(".py") or _is_python_script(settings.CHECKOUT / name)]
        mypy: list[str | Path] = [self.build.venv.python, "-m", "mypy", "--cache-dir", settings.BUILD / "mypy"]
        checks: dict[str, list[str | Path]] = {
            "clang-format": [CLANG_FORMAT, "--dry-run", "--Werror", *cpp],
            "ruff check": [
                self.build.venv.python,
                "-m",
                "ruff",
                "check",
                "--no-cache",
                "--output-format",
                "concise",
                *python,
            ],
            "ruff format": [self.build.venv.python, "-m", "ruff", "format", "--check", "--no-cache", *python],
            "mypy of mlff": [*mypy, "--config-file", "models/python/pyproject.toml", "models/python/mlff"],
            "mypy of tools": [*mypy, "--strict", "tools/bootstrap"],
        }
        for name, command in checks.items():
            status, output = shell.run(command, folder=settings.CHECKOUT, may_fail=True)
            if status:
                words = " ".join(" ".join(output.strip().splitlines()[:2]).split())
                self.total.failed.append(f"{name}: {words or 'failed'}")
            else:
                self.total.passed += 1

    def _test(self, shell: Shell) -> None:
        self._ctest(shell, self.build.folder, ["-LE", "matrix"])

    def _sanitize(self, shell: Shell) -> None:
        folder = settings.BUILD / "asan"
        options = [*self.build.options, "CMAKE_BUILD_TYPE=RelWithDebInfo", "MLFF_BUILD_PLUGIN=OFF"]
        asan = PluginBuild(folder, self.build.lammps, self.build.venv, options)
        asan.configure(shell, "--preset", "asan")
        shell.run(["cmake", "--build", folder], fraction=counted(NINJA, end=0.3))
        self._ctest(shell, folder, ["-L", "unit"], start=0.3)

    def _configure_without_cuda(self, shell: Shell) -> None:
        folder = settings.BUILD / "without-cuda"
        bare = PluginBuild(folder, self.build.lammps, self.build.venv, self.build.options)
        bare.configure(shell, *WITHOUT_CUDA)
        self.total.passed += 1

    def _plant_faults(self, shell: Shell) -> None:
        chosen = [fault for fault in faults.read_faults() if fault.in_ci]
        field = faults.Field(self.build.lammps, self.build.venv, self.build.options)
        field.prepare(shell)
        for number, fault in enumerate(chosen):
            shell.progress.update(number / len(chosen))
            if field.finds(fault, shell):
                self.total.passed += 1
            else:
                self.total.failed.append(
                    f"planted fault '{fault.row}': expected {fault.test} to fail with it, it passed"
                )

    # ---- ctest and its cases
    def _ctest(self, shell: Shell, folder: Path, selection: list[str], start: float = 0.0) -> None:
        junit = folder / "junit.xml"
        junit.unlink(missing_ok=True)
        shell.run(
            ["ctest", "--test-dir", folder, "--output-on-failure", "--no-tests=error", "--output-junit", junit,
             "--test-output-size-passed", "50000000", "--test-output-size-failed", "50000000",
             "-j", str(settings.cores()), *selection],
            fraction=counted(CTEST, start), may_fail=True, environment={"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        if not junit.exists():
            raise Failure(f"Expected ctest to write {junit}, found none: it could not start.")
        listing = ask(["ctest", "--test-dir", folder, "--show-only=json-v1", *selection])
        entries = verdict.read_junit(junit, verdict.read_labels(listing or '{"tests": []}'))
        self.entries += entries
        for entry in entries:
            count = verdict.count_entry(entry)
            self.total.add(count)
            if count.failed:
                shell.progress.line(f"---- last lines of {entry.name}:")
                shell.progress.line("\n".join(entry.output.splitlines()[-20:]))

    # ---- the end
    @property
    def refused_skips(self) -> list[verdict.Skip]:
        return verdict.refused(self.total.skips, verdict.allowed_reasons(ALLOWED_SKIPS))

    @property
    def failed(self) -> int:
        return len(self.total.failed) + len(self.refused_skips)

    def conclude(self, shell: Shell) -> bool:
        say = shell.progress.line
        refused = self.refused_skips
        for skip in self.total.skips:
            note = f"NOT ALLOWED by {ALLOWED_SKIPS.relative_to(settings.CHECKOUT)}" if skip in refused else "allowed"
            say(f"skipped ({note}): {skip.name}: {skip.reason}")
        for name in self.total.failed:
            say(f"failed: {name}")
        for label, seconds in sorted(verdict.seconds_by_label(self.entries).items(), key=lambda item: -item[1]):
            say(f"time of tests labelled {label}: {duration(seconds)}")
        say(f"time of this run: {duration(time.monotonic() - self.started)}")
        say(f"{self.total.passed} passed, {self.failed} failed, {len(self.total.skips)} skipped")
        return self.failed == 0 and self.total.passed > 0


def _never() -> bool:
    """A test that passed yesterday says nothing about today."""
    return False


def source_files() -> list[str]:
    """Files of the checkout that git knows or would take, so that neither build folders nor caches are looked at."""
    listing = ask(["git", "-C", settings.CHECKOUT, "ls-files", "--cached", "--others", "--exclude-standard"])
    if listing is None:
        raise Failure(
            f"Expected a git checkout in {settings.CHECKOUT}, found none; the tests need the list of its files."
        )
    return [name for name in listing.splitlines() if (settings.CHECKOUT / name).is_file()]


def _is_python_script(path: Path) -> bool:
    if path.suffix:
        return False
    with path.open("rb") as stream:
        return stream.readline().startswith(b"#!") and b"python" in path.read_bytes()[:40]
