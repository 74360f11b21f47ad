"""Compile the reference students for tests: FOLDER/NAME.<device>-<precision>.pt2, beside copies of the students.

    compile_packages.py FOLDER cpu|cuda

To compile takes minutes, so a package stays while all it is made of is the same: the student, our sources, Torch, the
compiler, the processor. Beside each one stands a checksum of that. Where MLFF_CACHE names a folder, those for CPUs are
kept there too, and serve other build folders: that with sanitizers, that of another checkout.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "models" / "python"
PACKAGES = {
    # in double precision, in single precision, and with narrow weights and a scale of the backward pass
    "cpu": [("painn-t3-v1", "fp64"), ("painn-tiny-v1", "fp32"), ("painn-t3-v1", "fp16")],
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


def compiler() -> str:
    try:
        return subprocess.run([os.environ.get("CXX", "g++"), "--version"], capture_output=True, text=True).stdout
    except OSError:
        return ""


def checksum(student: Path) -> str:
    total = hashlib.sha256()
    total.update(f"{importlib.metadata.version('torch')} {processor()} {compiler()}".encode())
    for path in (student, *(SOURCES / "mlff" / f"{module}.py" for module in ("aot", "model_file", "painn"))):
        total.update(path.read_bytes())
    return total.hexdigest()


def kept_package(name: str, device: str, wanted: str) -> Path | None:
    """Where a package is kept for other build folders. Those for GPUs are not: the checksum knows no GPU."""
    cache = os.environ.get("MLFF_CACHE")
    return Path(cache) / "compiled-students" / f"{wanted[:32]}-{name}" if cache and device == "cpu" else None


def copy_whole(source: Path, target: Path) -> None:
    """So that nobody sees a part of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copyfile(source, part)
    part.replace(target)


def compile_package(folder: Path, name: str, device: str, precision: str) -> tuple[Path, Path]:
    """A reference student and its package in `folder`, compiled if it must be."""
    student = folder / f"{name}.pt"
    copy_whole(HERE.parent / "reference" / student.name, student)
    package = student.with_suffix(f".{device}-{precision}.pt2")
    stamp = package.with_suffix(".checksum")
    wanted = checksum(student)
    if package.exists() and stamp.exists() and stamp.read_text() == wanted:
        return student, package
    stamp.unlink(missing_ok=True)
    kept = kept_package(package.name, device, wanted)
    if kept and kept.exists():
        copy_whole(kept, package)
    else:
        sys.path.insert(0, str(SOURCES))
        from mlff.aot import compile_student

        compile_student(student, device, precision)
        if kept:
            copy_whole(package, kept)
    stamp.write_text(wanted)
    return student, package


def main(folder: Path, device: str) -> None:
    work = [(folder, name, device, precision) for name, precision in PACKAGES[device]]
    listed = {f"{name}.{device}-{precision}" for name, precision in PACKAGES[device]}
    for path in folder.glob(f"*.{device}-*"):
        if path.stem not in listed:
            path.unlink()  # of another version of the list; tests take what is there
    workers = max(1, (os.cpu_count() or 1) // CORES_OF_A_COMPILER)
    with multiprocessing.get_context("spawn").Pool(min(workers, len(work))) as pool:
        pool.starmap(compile_package, work)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
