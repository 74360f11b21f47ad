"""A student compiled ahead of time for one device and precision: what ``mlff export --aot`` writes.

``NAME.<device>-<precision>.pt2`` is a package of AOTInductor, which a C++ program opens with
``torch::inductor::AOTIModelPackageLoader(path, model)``; doc/model_format.md describes it. It holds two models of the
same student, compiled apart so that an energy alone costs no backward pass:

* ``gradient``: (element, center, neighbor, rij, weight) -> (atom_energy, d(weight . atom_energy)/d rij)
* ``energy``: (element, center, neighbor, rij) -> atom_energy

How it is made. `torch.export` cannot record a module that calls autograd. So `make_fx` first writes both passes down as
one graph of plain operators, and `torch.export` records that graph. Sizes of graphs are open from 0 on:
``backed_size_oblivious`` keeps Torch from taking 0 and 1 for special cases.

TF32. Matrix products stay calls of ATen (nothing is autotuned into Triton templates), and these ask Torch's global
setting when they run, not when they were compiled. So packages ``tf32`` and ``fp32`` hold the same calls, and who runs
one sets the precision of matrix products around each call: ``at::globalContext().setFloat32MatmulPrecision(p)`` with p
= "high" for ``tf32`` and "highest" for ``fp32``; in Python ``torch.set_float32_matmul_precision``. We set the same
while we compile, for the parts of Inductor that do look at it.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import shlex
import shutil
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .model_file import load_model
from .painn import Linear, PaiNN

__all__ = ["DEVICES", "MODELS", "PRECISIONS", "PackageError", "compile_student", "read_package", "run"]

log = logging.getLogger("mlff")

FORMAT = "mlff-aot"
FORMAT_VERSION = "1"
DEVICES = ("cpu", "cuda")
MODELS = ("gradient", "energy")

#: Types of the geometry and of the linear maps' weights.
PRECISIONS: dict[str, tuple[torch.dtype, torch.dtype]] = {
    "fp64": (torch.float64, torch.float64),
    "fp32": (torch.float32, torch.float32),
    "tf32": (torch.float32, torch.float32),
    "bf16": (torch.float32, torch.bfloat16),
    "fp16": (torch.float32, torch.float16),
}

#: Fields of the metadata that every package has; all values are strings.
REQUIRED_FIELDS = ("format", "format_version", "sha256", "name", "device", "precision", "torch", "cutoff", "elements")

#: Most atoms and edges of a graph. An upper bound that is stated makes Inductor count elements in 64 bits on GPUs;
#: without one it takes 32 bits, which overflow unnoticed where edges times channels pass 2^31.
MAX_SIZE = 2**31 - 1

#: Atoms and edges of the graph that is recorded. Any would do; Inductor chooses loops and tiles for this one.
EXAMPLE_SIZES = (1024, 54 * 1024)


class PackageError(ValueError):
    """A file is no compiled student, or is broken; the message says what was expected, what was found, what to do."""


# ---------------------------------------------------------------- what is compiled


def cast(student: PaiNN, precision: str) -> PaiNN:
    """A copy of the student in the types of a precision: only weights of linear maps are narrower than its geometry."""
    geometry, linear = PRECISIONS[precision]
    student = copy.deepcopy(student).eval().requires_grad_(False).to(geometry)
    for module in student.modules():
        if isinstance(module, Linear):
            module.to(linear)
    return student


def make_program(student: PaiNN, model: str, gradient_scale: float) -> Callable[..., Any]:
    """The function of a model of the package.

    ``gradient_scale`` multiplies what goes into the backward pass and is divided out of its result in double: small
    gradients would vanish in half precision.
    """
    geometry = student.embedding.dtype

    def energy(element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Any:
        return student(element, center, neighbor, rij.to(geometry))

    def gradient(
        element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        rij = rij.to(geometry).detach().requires_grad_(True)
        with torch.enable_grad():
            atom_energy = student(element, center, neighbor, rij)
            (result,) = torch.autograd.grad([atom_energy], [rij], [weight * gradient_scale])
        return atom_energy.detach(), (result.to(torch.float64) / gradient_scale).contiguous()

    return gradient if model == "gradient" else energy


def example(student: PaiNN, model: str, device: str) -> tuple[Tensor, ...]:
    """Inputs of a model, with sizes that are neither special nor equal."""
    atoms, edges = EXAMPLE_SIZES
    element = torch.zeros(atoms, dtype=torch.long, device=device)
    center = torch.arange(edges, device=device) * atoms // edges
    rij = torch.full((edges, 3), student.cutoff / 2, dtype=torch.float64, device=device)
    inputs = (element, center, (center + 1) % atoms, rij)
    return (*inputs, torch.ones(atoms, dtype=torch.float64, device=device)) if model == "gradient" else inputs


def index_add(total: Tensor, dim: int, index: Tensor, source: Tensor, alpha: float = 1) -> Any:
    """`aten.index_add` in operators that AOTInductor compiles right and fast.

    * Rows in 16 bits are summed in float32. That is nearer to the truth, and avoids Inductor's fallback for bfloat16,
      the call of `aten.index_add` itself, which the runtime of packages in Torch 2.11 refuses ("Mismatch between ints
      consumed and num_ints", oss_proxy_executor.cpp).
    * On CPUs Inductor would add number by number, each an atomic operation, and take as long as the interpreter;
      `aten.scatter_add` with one index a row has a kernel that adds whole rows, each sum in one thread and in order.
    """
    if total.dtype in (torch.bfloat16, torch.float16):
        wide = torch.ops.aten.index_add.default(total.float(), dim, index, source.float(), alpha=alpha)
        return wide.to(total.dtype)
    if total.device.type != "cpu" or dim != 0 or alpha != 1:
        return NotImplemented
    rows = index.view([-1] + [1] * (source.dim() - 1)).expand_as(source)
    return torch.ops.aten.scatter_add.default(total, 0, rows, source)


def record(student: PaiNN, model: str, gradient_scale: float) -> torch.export.ExportedProgram:
    """A model as an exported program with open numbers of atoms and edges, under ``backed_size_oblivious``."""
    from torch.fx.experimental.proxy_tensor import make_fx

    inputs = example(student, model, student.embedding.device.type)
    atoms = torch.export.Dim("atoms", min=0, max=MAX_SIZE)
    edges = torch.export.Dim("edges", min=0, max=MAX_SIZE)
    sizes = ({0: atoms}, {0: edges}, {0: edges}, {0: edges}, {0: atoms})[: len(inputs)]
    graph = make_fx(
        make_program(student, model, gradient_scale),
        decomposition_table={torch.ops.aten.index_add.default: index_add},
        tracing_mode="symbolic",
        _allow_non_fake_inputs=True,  # the student's parameters, which become constants of the graph
    )(*inputs)
    return torch.export.export(graph, inputs, dynamic_shapes=sizes)


# ---------------------------------------------------------------- the package


def describe(header: dict[str, Any], device: str, precision: str) -> dict[str, str]:
    """Our fields of the metadata; Inductor adds its own, which begin with ``AOTI_``."""
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sha256": header["sha256"],
        "name": header["name"],
        "device": device,
        "precision": precision,
        "torch": torch.__version__,
        "cutoff": repr(float(header["cutoff"])),
        "elements": " ".join(header["elements"]),
    }
    if device == "cuda":
        metadata["compute_capability"] = "{}.{}".format(*torch.cuda.get_device_capability())
    else:
        from torch._inductor.cpu_vec_isa import pick_vec_isa

        metadata["instruction_set"] = str(pick_vec_isa())
    return metadata


def check_request(path: Path, device: str, precision: str) -> None:
    """Refuse, in a sentence, what cannot be compiled here."""
    if device not in DEVICES:
        raise ValueError(f"device: expected {' or '.join(DEVICES)}, found {device!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected {', '.join(PRECISIONS)}, found {precision!r}")
    if path.suffix != ".pt":
        raise ValueError(f"{path}: expected a student (.pt), found a name without .pt. Name the student's file.")
    if device == "cpu" and precision == "tf32":
        raise ValueError(
            "precision: expected fp64, fp32, bf16 or fp16 on the device cpu, found tf32, which CPUs do not have. "
            "Compile with '--precision fp32', or with '--device cuda'."
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "device: expected a GPU that Torch can use, found none. Compile on a machine with the GPU that the student "
            "will run on, with a build of Torch for CUDA."
        )


def find_compiler() -> str:
    """The C++ compiler that Inductor takes: ``CXX`` or g++."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return get_cpp_compiler()
    except (InvalidCxxCompiler, OSError):
        found = f"CXX={os.environ['CXX']}, which does not run" if "CXX" in os.environ else "no g++"
        raise ValueError(
            f"compiler: expected a C++ compiler to compile the student with, found {found}. Install g++, or set CXX to "
            "the name of another compiler."
        ) from None


def lean_compiler(compiler: str, folder: Path) -> str:
    """The compiler as a script that leaves ``libtorch.so`` out.

    That library is a shell that draws in all of CUDA. A program that links LibTorch's parts alone (``libtorch_cpu.so``,
    ``libtorch_cuda.so``), as the plugin does, could not open the package: none that it has loaded is named so.
    """
    path = folder / Path(compiler).name  # Inductor knows the kind of compiler by its name
    path.write_text(
        "#!/bin/sh\n"
        'for word; do shift; [ "$word" = -ltorch ] || set -- "$@" "$word"; done\n'
        f'exec {shlex.quote(compiler)} "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """TF32 matrix products for tf32 alone."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def compile_student(path: str | os.PathLike[str], device: str = "cpu", precision: str = "fp32") -> Path:
    """Compile the student ``NAME.pt`` and write ``NAME.<device>-<precision>.pt2`` beside it; its path.

    Raises `ValueError` for a device or precision that cannot be had here, for a missing compiler, and, as
    `ModelFileError`, for a file that is no student.
    """
    path = Path(path)
    check_request(path, device, precision)
    model, header = load_model(path)
    student = cast(model, precision).to(device)
    scale = float(header.get("fp16_gradient_scale", 256.0)) if precision == "fp16" else 1.0
    out = path.with_name(f"{path.stem}.{device}-{precision}.pt2")

    from torch._inductor import aot_compile
    from torch._inductor.package import package_aoti
    from torch._inductor.utils import fresh_cache
    from torch.fx.experimental import _config as shapes

    compiler = find_compiler()
    metadata = describe(header, device, precision)
    log.info(
        "compiling %s for %s in %s: two models, each about half a minute", path.name, device_name(metadata), precision
    )
    begin = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="mlff-aot-") as folder,
        warnings.catch_warnings(),
        matmul_precision(precision),
        shapes.patch(backed_size_oblivious=True),  # type: ignore[attr-defined]
        fresh_cache(dir=folder),
    ):
        warnings.simplefilter("ignore")  # of Torch about itself
        options: dict[str, Any] = {
            "aot_inductor.package": True,
            "aot_inductor.precompile_headers": False,  # they would stay, in another folder
            "cpp.dynamic_threads": True,  # the number of threads is the caller's, not the one of this moment
        }
        options["cpp.cxx"] = (None, lean_compiler(compiler, Path(folder)))
        files = {}
        for name in MODELS:
            start = time.monotonic()
            program = record(student, name, scale)
            recorded = time.monotonic()
            inputs, _ = program.example_inputs or ((), {})
            files[name] = aot_compile(
                program.module(),  # type: ignore[arg-type]
                inputs,
                options=options | {"aot_inductor.metadata": metadata | {"model": name}},
            )
            log.info(
                "  %s: recorded in %.1f s, compiled in %.1f s", name, recorded - start, time.monotonic() - recorded
            )
        package = Path(folder) / out.name
        package_aoti(str(package), files)  # type: ignore[arg-type]
        shutil.copyfile(package, out)
    log.info("wrote %s: %.1f MB, %.0f s", out, out.stat().st_size / 1e6, time.monotonic() - begin)
    return out


def run(student: str | os.PathLike[str], device: str = "cpu", precision: str = "fp32") -> None:
    """`compile_student` for the command line."""
    compile_student(student, device, precision)


# ---------------------------------------------------------------- reading


def read_package(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a compiled student, with format, required fields and the CRC of every record verified."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"the record {damaged} does not fit its CRC")
            found = {name: _metadata(archive, name) for name in MODELS}
    except zipfile.BadZipFile as error:
        raise PackageError(
            f"{path}: expected a compiled student (.pt2, a zip archive), found something else or a truncated or "
            f"damaged file ({error}). Compile the student again with 'mlff export --aot'."
        ) from None
    metadata = found["gradient"]
    if metadata is None or found["energy"] is None or metadata.get("format") != FORMAT:
        raise PackageError(
            f"{path}: expected a student compiled by 'mlff export --aot', found a zip archive of another kind "
            "(another program's .pt2 package, or a student's .pt under another name). Compile a student with "
            "'mlff export --aot'."
        )
    if metadata.get("format_version") != FORMAT_VERSION:
        raise PackageError(
            f"{path}: expected format {FORMAT} version {FORMAT_VERSION}, found version "
            f"{metadata.get('format_version')}. Compile the student again with 'mlff export --aot'."
        )
    missing = [field for field in REQUIRED_FIELDS if field not in metadata]
    if missing:
        raise PackageError(
            f"{path}: the metadata lacks {', '.join(missing)}. Compile the student again with 'mlff export --aot'."
        )
    del metadata["model"]
    return metadata


def _metadata(archive: zipfile.ZipFile, model: str) -> dict[str, str] | None:
    """What Inductor stored for a model of the package, or None where there is no such model."""
    for record_name in archive.namelist():
        if f"/data/aotinductor/{model}/" in record_name and record_name.endswith("_metadata.json"):
            try:
                content = json.loads(archive.read(record_name))
            except ValueError:
                return None
            return content if isinstance(content, dict) else None
    return None


def device_name(metadata: dict[str, str]) -> str:
    """The device that a package runs on, in words: ``cpu (AVX512)``, ``cuda (compute capability 9.0)``."""
    if "compute_capability" in metadata:
        return f"{metadata['device']} (compute capability {metadata['compute_capability']})"
    if "instruction_set" in metadata:
        return f"{metadata['device']} ({metadata['instruction_set']})"
    return metadata["device"]
