"""Python: one environment with LibTorch in the cache, shared by all checkouts, and a small one in the checkout."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

from . import settings
from .failure import Failure
from .shell import Shell, ask
from .steps import Step

DOWNLOADS = 2800.0  # MB that pip fetches: the torch wheel, its CUDA libraries and the rest

QUESTION = """
import importlib.metadata as metadata, json
print(json.dumps({(d.metadata["Name"] or "").lower(): d.version for d in metadata.distributions()}))
"""


class SharedVenv:
    def __init__(self, torch_version: str, for_tests: bool) -> None:
        self.torch_version = torch_version
        self.folder = settings.cache_folder() / f"venv-torch-{torch_version}"
        self.python = self.folder / "bin" / "python"
        self.packages = settings.PYTHON_PACKAGES + (settings.PYTHON_PACKAGES_FOR_TESTS if for_tests else [])
        self.packages_alone = settings.PYTHON_PACKAGES_ALONE_FOR_TESTS if for_tests else []

    @property
    def site_packages(self) -> Path:
        there = next((self.folder / "lib").glob("python3*"), None)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"  # of the Python that will make it
        return (there or self.folder / "lib" / version) / "site-packages"

    @property
    def libtorch(self) -> Path:
        return self.site_packages / "torch"

    def step(self) -> Step:
        typical = 30 if self.python.exists() else 150
        return Step(
            f"Python environment with torch {self.torch_version}", typical, self.is_done, self._run, shared=True
        )

    def is_done(self) -> bool:
        answer = ask([self.python, "-c", QUESTION]) if self.python.exists() else None
        there = json.loads(answer) if answer else {}
        if there.get("torch", "").split("+")[0] != self.torch_version:
            return False
        wanted = (package.partition("==") for package in [*self.packages, *self.packages_alone])
        return all(name in there and there[name] == (version or there[name]) for name, _, version in wanted)

    def _run(self, shell: Shell) -> None:
        if ask([self.python, "-m", "pip", "--version"]) is None:
            shutil.rmtree(self.folder, ignore_errors=True)  # an interrupted one has no pip
            shell.run([sys.executable, "-m", "venv", self.folder])
        pip: list[str | Path] = [self.python, "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
        wanted = [f"torch=={self.torch_version}", *self.packages]
        for options, packages in (([], wanted), (["--no-deps"], self.packages_alone)):
            if packages:
                self._install(shell, [*pip, *options], packages)

    def _install(self, shell: Shell, pip: list[str | Path], packages: list[str]) -> None:
        status, _ = shell.run([*pip, *packages], fraction=_PipFraction(), may_fail=True)
        if status:
            raise Failure(
                f"pip could not install {' '.join(packages)} into {self.folder}. Behind a proxy or with an index of "
                "your own, configure pip (pip config, PIP_INDEX_URL, PIP_PROXY); the log has pip's own words."
            )


class _PipFraction:
    """Sums the sizes that pip names as it starts each download; unpacking them takes the other half of the time."""

    def __init__(self) -> None:
        self.begun = self.current = 0.0

    def __call__(self, line: str) -> float | None:
        found = re.search(r"Downloading \S+ \((\d+(?:\.\d+)?) (kB|MB|GB)\)", line)
        if found:
            self.begun += self.current
            self.current = float(found[1]) * {"kB": 1e-3, "MB": 1.0, "GB": 1e3}[found[2]]
            return min(0.5, 0.5 * self.begun / DOWNLOADS)
        return None


class CheckoutVenv:
    """build/venv: this checkout's package, editable, on top of the shared environment."""

    def __init__(self, shared: SharedVenv, folder: Path = settings.BUILD / "venv") -> None:
        self.shared, self.folder = shared, folder
        self.python = folder / "bin" / "python"
        self.mlff = folder / "bin" / "mlff"

    def step(self) -> Step:
        return Step("Python package mlff", 10, self.is_done, self._run)

    def is_done(self) -> bool:
        if not self.mlff.exists():
            return False
        question = "import importlib.util as u; print([u.find_spec(n).origin for n in ('mlff', 'torch')])"
        answer = ask([self.python, "-c", question]) or ""
        return str(settings.CHECKOUT / "models") in answer and str(self.shared.site_packages) in answer

    def _run(self, shell: Shell) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shell.run([self.shared.python, "-m", "venv", "--without-pip", self.folder])
        site_packages = next((self.folder / "lib").glob("python3*")) / "site-packages"
        # a line that starts with "import" is run; addsitedir reads the shared folder's own .pth files too
        line = f"import site; site.addsitedir({str(self.shared.site_packages)!r})\n"
        (site_packages / "shared.pth").write_text(line)
        package = settings.CHECKOUT / "models" / "python"
        shell.run([self.python, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "-e", package])
