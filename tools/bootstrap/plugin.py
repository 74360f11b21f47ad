"""The plugin of this checkout, configured and built for one LAMMPS and one LibTorch."""

from __future__ import annotations

from pathlib import Path

from . import settings
from .lammps import Lammps
from .python_venv import CheckoutVenv
from .shell import NINJA, Shell, ask, counted
from .steps import Step


class PluginBuild:
    def __init__(
        self, folder: Path, lammps: Lammps, venv: CheckoutVenv, options: list[str], source: Path = settings.CHECKOUT
    ) -> None:
        self.folder, self.lammps, self.venv, self.options, self.source = folder, lammps, venv, options, source

    @property
    def plugin(self) -> Path:
        return self.folder / "mlffplugin.so"

    def step(self, title: str, typical: float) -> Step:
        return Step(title, typical, self.is_done, self.build, scales=True)

    def is_done(self) -> bool:
        """Ninja knows; and the build is for this LAMMPS and this LibTorch."""
        cache = self.folder / "CMakeCache.txt"
        if not cache.exists() or not (self.folder / "build.ninja").exists():
            return False
        lines = set(cache.read_text().splitlines())
        wanted = [option.split("=", 1) for option in self._definitions()]
        known = {line.split(":", 1)[0]: line.split("=", 1)[1] for line in lines if ":" in line and "=" in line}
        if any(known.get(name) != value for name, value in wanted):
            return False
        return "no work to do" in (ask(["ninja", "-C", self.folder, "-n"]) or "")

    def configure(self, shell: Shell, *more: str) -> None:
        definitions = [word for option in self._definitions() for word in ("-D", option)]
        shell.run(["cmake", "-S", self.source, "-B", self.folder, "-G", "Ninja", *definitions, *more])

    def build(self, shell: Shell) -> None:
        self.configure(shell)
        shell.run(["cmake", "--build", self.folder], fraction=counted(NINJA))

    def _definitions(self) -> list[str]:
        return [
            f"LAMMPS_SOURCE_DIR={self.lammps.source}", f"LAMMPS_BUILD_DIR={self.lammps.build}",
            f"MLFF_LIBTORCH={self.venv.shared.libtorch}", f"Python3_EXECUTABLE={self.venv.python}",
            # paths below the sources are taken relative: another checkout finds what this one compiled
            f"CMAKE_CXX_COMPILER_LAUNCHER=env;CCACHE_BASEDIR={self.source};CCACHE_NOHASHDIR=1;ccache", *self.options,
        ]  # fmt: skip
