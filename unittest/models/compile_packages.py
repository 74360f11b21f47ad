"""Compile the reference students for tests: FOLDER/NAME.<device>-<precision>.pt2, beside copies of the students.

    compile_packages.py FOLDER cpu|cuda

To compile takes minutes, so a package stays while all it is made of is the same: the student, our sources, Torch, the
processor. Beside each one stands a checksum of that.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import multiprocessing
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "models" / "python"
PACKAGES = {
    "cpu": [(name, precision) for name in ("painn-tiny-v1", "painn-t3-v1") for precision in ("fp64", "fp32")],
    "cuda": [("painn-t3-v1", precision) for precision in ("fp64", "fp32", "tf32", "fp16")],
}
CORES_OF_A_COMPILER = 4


def processor() -> str:
    """The instruction sets of this machine, where Linux tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def checksum(student: Path) -> str:
    total = hashlib.sha256()
    total.update(f"{importlib.metadata.version('torch')} {processor()}".encode())
    for path in (student, *(SOURCES / "mlff" / f"{module}.py" for module in ("aot", "model_file", "painn"))):
        total.update(path.read_bytes())
    return total.hexdigest()


def compile_package(student: Path, device: str, precision: str) -> None:
    package = student.with_suffix(f".{device}-{precision}.pt2")
    stamp = package.with_suffix(".checksum")
    wanted = checksum(student)
    if package.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    sys.path.insert(0, str(SOURCES))
    from mlff.aot import compile_student

    stamp.unlink(missing_ok=True)
    compile_student(student, device, precision)
    stamp.write_text(wanted)


def main(folder: Path, device: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in {name for name, _ in PACKAGES[device]}:
        shutil.copyfile(HERE.parent / "reference" / f"{name}.pt", folder / f"{name}.pt")
    work = [(folder / f"{name}.pt", device, precision) for name, precision in PACKAGES[device]]
    workers = max(1, (os.cpu_count() or 1) // CORES_OF_A_COMPILER)
    with multiprocessing.get_context("spawn").Pool(min(workers, len(work))) as pool:
        pool.starmap(compile_package, work)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
