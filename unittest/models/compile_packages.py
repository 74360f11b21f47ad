"""Compile the reference students for tests: FOLDER/NAME.<device>-<precision>.pt2, beside copies of the students.

    compile_packages.py FOLDER cpu|cuda

To compile takes minutes, so a package stays while all it is made of is the same: the student, our sources, Torch, the
processor. Beside each one stands a checksum of that.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "models" / "python"
STUDENTS = ("painn-tiny-v1", "painn-t3-v1")
PRECISIONS = {"cpu": ("fp64", "fp32"), "cuda": ("fp64", "fp32", "tf32", "fp16")}


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


def main(folder: Path, device: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in STUDENTS:
        student = folder / f"{name}.pt"
        shutil.copyfile(HERE.parent / "reference" / student.name, student)
        wanted = checksum(student)
        for precision in PRECISIONS[device]:
            package = student.with_suffix(f".{device}-{precision}.pt2")
            stamp = package.with_suffix(".checksum")
            if package.exists() and stamp.exists() and stamp.read_text() == wanted:
                continue
            sys.path.insert(0, str(SOURCES))
            from mlff.aot import compile_student

            stamp.unlink(missing_ok=True)
            compile_student(student, device, precision)
            stamp.write_text(wanted)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
