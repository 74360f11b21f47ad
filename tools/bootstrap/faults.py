"""Faults of one line, planted in a copy of the sources; a test must find each. `unittest/faults.toml` lists them."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from . import settings
from .failure import Failure
from .lammps import Lammps
from .plugin import PluginBuild
from .python_venv import CheckoutVenv
from .shell import NINJA, Shell, counted

LIST = settings.CHECKOUT / "unittest" / "faults.toml"
TABLE = settings.CHECKOUT / "doc" / "pains.md"
TABLE_HEAD = "| row | what hurts | test | planted fault |\n| --- | --- | --- | --- |\n"
PYTEST_FAILED = 1  # others: no such test, an interrupted or a broken run


@dataclass(frozen=True)
class Fault:
    row: str  # of the notes that the table answers
    pain: str
    test: str  # unittest/FOLDER/test_*.py::NAME, or 'TARGET FILTER' of a C++ test
    file: str = ""
    old: str = ""
    new: str = ""
    flags: str = ""  # for lmp
    targets: tuple[str, ...] = ("mlffplugin",)
    in_ci: bool = False

    @property
    def is_planted(self) -> bool:
        """Rows that no change of one line can break say so in `pain` and have none."""
        return bool(self.file)

    def markdown(self) -> str:
        fault = f"`{self.file}`: `{_cell(self.old)}` -> `{_cell(self.new)}`" if self.is_planted else "none"
        return f"| {self.row} | {self.pain} | `{self.test}` | {fault} |\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") or " "


def read_faults(path: Path = LIST) -> list[Fault]:
    entries = tomllib.loads(path.read_text())["fault"]
    return [Fault(**{**entry, "targets": tuple(entry.get("targets", ["mlffplugin"]))}) for entry in entries]


def table(faults: list[Fault]) -> str:
    return TABLE_HEAD + "".join(fault.markdown() for fault in faults)


def misfits(faults: list[Fault], root: Path = settings.CHECKOUT) -> list[str]:
    """A sentence for each fault whose line is not, or not once, in its file, or whose test is not there."""
    sentences = []
    for fault in faults:
        words = fault.test.split("::")
        if fault.test.startswith("unittest/"):
            file = root / words[0]
            name = words[-1].split("[")[0]
            if not file.exists() or (len(words) > 1 and f"def {name}(" not in file.read_text()):
                sentences.append(f"{fault.row}: expected the test {fault.test}, found none.")
        if fault.is_planted:
            path = root / fault.file
            count = path.read_text().count(fault.old) if path.exists() else 0
            if count != 1:
                sentences.append(f"{fault.row}: expected '{fault.old}' once in {fault.file}, found it {count} times.")
    return sentences


class Field:
    """A copy of the checkout in which faults are planted and taken out again."""

    def __init__(self, lammps: Lammps, venv: CheckoutVenv, options: list[str]) -> None:
        self.source = settings.BUILD / "faults"
        # as deep below its root as the build of the tests is below the checkout: so the compiler cache knows its files
        self.build = PluginBuild(self.source / "build" / "tests", lammps, venv, options, self.source)

    def prepare(self, shell: Shell) -> None:
        self.source.mkdir(parents=True, exist_ok=True)
        for name in ("models", "pair_mlff", "kokkos", "cmake", "unittest", "potentials", "examples", "doc"):
            shutil.rmtree(self.source / name, ignore_errors=True)
            shutil.copytree(settings.CHECKOUT / name, self.source / name)
        for name in ("CMakeLists.txt", "CMakePresets.json", "README.md"):
            shutil.copy2(settings.CHECKOUT / name, self.source / name)
        self.build.configure(shell)

    def finds(self, fault: Fault, shell: Shell) -> bool:
        """Whether the fault's test fails with it, the fault being taken out again."""
        path = self.source / fault.file
        original = path.read_text()
        if original.count(fault.old) != 1:
            raise Failure(f"Expected '{fault.old}' once in {fault.file}, found it {original.count(fault.old)} times.")
        path.write_text(original.replace(fault.old, fault.new))
        try:
            shell.run(["cmake", "--build", self.build.folder, "--target", *fault.targets], counted(NINJA))
            return self._test_fails(fault, shell)
        finally:
            path.write_text(original)

    def _test_fails(self, fault: Fault, shell: Shell) -> bool:
        environment = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        if fault.test.startswith("unittest/"):
            command: list[str | Path] = [
                self.build.venv.python, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
                self.source / fault.test, "--config", self.build.folder / "unittest" / "test_config.json",
                f"--lammps-flags={fault.flags}",
            ]  # fmt: skip
            status, output = shell.run(command, folder=self.source, environment=environment, may_fail=True)
            if status not in (0, PYTEST_FAILED):
                raise Failure(f"Expected {fault.test} to run, found status {status}: {output.strip()[-300:]}")
            return status == PYTEST_FAILED
        target, name = fault.test.split()
        status, output = shell.run(
            [self.build.folder / "unittest" / target, f"--gtest_filter={name}"], environment=environment, may_fail=True
        )
        if "[==========] Running 0 tests" in output:
            raise Failure(f"Expected the test {fault.test}, found none.")
        return status != 0
