"""One combination of LAMMPS and LibTorch: set up, build, test, and say in one row how it went."""

from __future__ import annotations

from dataclasses import dataclass

from . import session, settings
from .lammps import Lammps, facts
from .plugin import PluginBuild
from .python_venv import CheckoutVenv, SharedVenv
from .shell import Shell
from .steps import only_one, run_steps
from .tests import Tests


@dataclass(frozen=True)
class Row:
    lammps: str
    libtorch: str
    passed: int
    failed: int
    skipped: int

    @property
    def good(self) -> bool:
        return self.passed > 0 and self.failed == 0

    def markdown(self) -> str:
        outcome = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        return f"| {self.lammps} | {self.libtorch} | {outcome} |"


def try_combination(shell: Shell, lammps: Lammps, shared: SharedVenv, checkout: CheckoutVenv, name: str) -> Row:
    debian = settings.DEBIAN_PACKAGES + settings.DEBIAN_PACKAGES_FOR_TESTS
    with only_one(settings.cache_folder(), shell.progress):
        run_steps(session.ground_steps(lammps, shared, debian), shell)
    run_steps([checkout.step()], shell)
    options = ["MLFF_BUILD_TESTS=ON"]
    build = PluginBuild(settings.BUILD / name, lammps, shared.libtorch, checkout.python, options)
    tests = Tests(build, checkout.python)
    run_steps(tests.build_and_test_steps(), shell)
    good = tests.conclude(shell)
    found = facts(lammps.lmp)
    failed = len(tests.total.failed) + (0 if good or tests.total.failed else 1)
    version = found.version if found else "unknown"
    return Row(version, shared.torch_version, tests.total.passed, failed, len(tests.total.skips))
