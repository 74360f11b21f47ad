"""The students that are measured, as files of the work folder, and their compiled packages beside them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..model_file import read_header
from ..painn import SIZES
from .process import Clock, RefusedError, in_child

__all__ = ["BenchStudent", "make_student"]


@dataclass(frozen=True)
class BenchStudent:
    """A student under its short name.

    Packages for ``jit aot`` lie beside ``file``, so it is a copy: the user's folders stay as they are.
    """

    name: str
    file: Path
    origin: str

    def describe(self) -> dict[str, Any]:
        header = read_header(self.file)
        fields = ("num_channels", "num_interactions", "num_radial", "cutoff", "sha256")
        return {"origin": self.origin, **{field: header[field] for field in fields}}

    def package(self, device: str, precision: str) -> Path:
        return self.file.with_name(f"{self.file.stem}.{device}-{precision}.pt2")

    def compile(self, clock: Clock, device: str, precision: str, anew: bool = False) -> Path:
        """The package, compiled now unless a fitting one is there; that takes minutes, which no row is given up for."""
        package = self.package(device, precision)
        if anew or not in_child(clock, is_current, str(package), str(self.file), device, precision):
            in_child(clock.for_long_rows(), compile_package, str(self.file), device, precision)
        return package


def is_current(package: str, file: str, device: str, precision: str) -> bool:
    """Whether a package is of this very student, machine and Torch."""
    from .. import aot

    if not Path(package).exists():
        return False
    found = aot.read_package(package)
    return all(found.get(field) == value for field, value in aot.describe(read_header(file), device, precision).items())


def compile_package(file: str, device: str, precision: str) -> None:
    from ..aot import compile_student

    compile_student(file, device, precision)


def make_student(name: str, potentials: Path, folder: Path, clock: Clock) -> BenchStudent:
    """A shipped student, ``water-NAME.pt``, random weights of a named size, or the file NAME where it ends in .pt."""
    source = Path(name) if name.endswith(".pt") else potentials / f"water-{name}.pt"
    if source.exists():
        read_header(source)
        file = folder / source.name
        shutil.copyfile(source, file)
        return BenchStudent(source.stem if name.endswith(".pt") else name, file, source.name)
    if name not in SIZES:
        raise ValueError(
            f"students: expected a student of {potentials} (water-NAME.pt), a named size ({', '.join(SIZES)}) or a "
            f"file that ends in .pt, found {name!r}"
        )
    file = folder / f"random-{name}.pt"
    try:
        in_child(clock, make_random, str(file), name)
    except RefusedError as error:
        raise ValueError(f"students: expected to make one of size {name}, found: {error}") from None
    return BenchStudent(name, file, "random weights")


def make_random(file: str, size: str) -> None:
    """Weights as a training begins with, the same each time: forces are soft, so that dynamics is stable."""
    import torch

    from ..model_file import save_model
    from ..painn import PaiNN

    torch.manual_seed(1)
    channels, interactions, radial = SIZES[size]
    model = PaiNN(["H", "O"], [1, 8], channels, interactions, radial, 5.0, [-1.0, -2.0], [0.31, 0.66])
    save_model(model, file, f"random-{size}")
