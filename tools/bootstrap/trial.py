"""One combination of LAMMPS and LibTorch: set up, build, test, and say in one row how it went."""

from __future__ import annotations

from dataclasses import dataclass

from . import session, settings
from .lammps import Lammps, facts
from .plugin import PluginBuild
from .python_venv import CheckoutVenv
from .shell import Shell
from .steps import run_steps
from .tests import Suite


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


def try_combination(shell: Shell, lammps: Lammps, checkout: CheckoutVenv, name: str) -> Row:
    debian = settings.DEBIAN_PACKAGES + settings.DEBIAN_PACKAGES_FOR_TESTS
    build = PluginBuild(settings.BUILD / name, lammps, checkout, ["MLFF_BUILD_TESTS=ON"])
    suite = Suite(build)
    ground = session.ground_steps(lammps, checkout.shared, debian)
    run_steps([*ground, checkout.step(), *suite.build_and_test_steps()], shell)
    suite.conclude(shell)
    found = facts(lammps.lmp)
    total = suite.total
    version = found.version if found else "unknown"
    return Row(version, checkout.shared.torch_version, total.passed, suite.failed, len(total.skips))
