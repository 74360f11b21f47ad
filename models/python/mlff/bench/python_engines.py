"""A student in PyTorch on given edges: energy and forces, by autograd, at positions that change at every call."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .process import RefusedError, peak_memory
from .systems import System

__all__ = ["ENGINES", "cell_forces", "force_error", "measure", "precision_of", "time_calls"]

#: Plain PyTorch (the baseline); each option alone; packages of AOTInductor; and options one after the other, JIT, then
#: FP16, then compile, the last also with compile in the place of JIT.
ENGINES = (
    "eager", "script", "fp16", "compile", "aot", "aot+fp16", "script+fp16", "script+fp16+compile", "fp16+compile",
)  # fmt: skip

WARM_UP = 4  # calls; TorchScript compiles in the first three
BATCHES = 5
DISPLACEMENT = 1e-3  # Å
NUM_DISPLACED = 8  # sets of positions, used in turn

Forces = Callable[[Any], Any]  # float64 [atoms, 3] positions -> [atoms, 3] forces, both on the device


def precision_of(engine: str, device: str) -> str:
    """Half precision is fp16 on GPUs and in packages, and bf16 under autocast on CPUs, where fp16 has few kernels."""
    if "fp16" not in engine:
        return "fp32"
    return "bf16" if device == "cpu" and "aot" not in engine else "fp16"


def build(student: str, system: System, engine: str, device: str, package: str | None, double: bool = False) -> Forces:
    """The engine, as a function of positions."""
    import torch

    from ..model_file import load_model

    model, header = load_model(student)
    number = {symbol: i for i, symbol in enumerate(header["elements"])}
    symbols = system.symbols * (system.num_atoms // len(system.symbols))
    element = torch.tensor([number[symbol] for symbol in symbols], device=device)
    center, neighbor, offset = (torch.from_numpy(array).to(device) for array in system.edges(model.cutoff))
    options = set(engine.split("+"))

    def edge_vectors(positions: torch.Tensor) -> torch.Tensor:
        return positions.index_select(0, neighbor) + offset - positions.index_select(0, center)

    if package is not None:
        # the loader that C++ uses too; Torch's public one has no argument for the model's name
        program = torch._C._aoti.AOTIModelPackageLoader(package, "gradient", False, 1, -1)  # type: ignore[attr-defined]
        weight = torch.ones(len(symbols), dtype=torch.float64, device=device)

        def packaged(positions: torch.Tensor) -> torch.Tensor:
            _, gradient = program.run([element, center, neighbor, edge_vectors(positions), weight])
            return torch.zeros_like(positions).index_add_(0, center, gradient).index_add_(0, neighbor, -gradient)

        return packaged

    dtype = torch.float64 if double else torch.float32
    network: Any = model.eval().requires_grad_(False).to(device, dtype)
    if "script" in options:
        network = torch.jit.script(network)
    if "compile" in options:
        # open sizes: in dynamics every step has another number of edges, and fixed ones would be compiled each time
        network = torch.compile(network, dynamic=True)
    half = torch.bfloat16 if device == "cpu" else torch.float16

    def differentiated(positions: torch.Tensor) -> torch.Tensor:
        positions = positions.detach().requires_grad_(True)
        with torch.autocast(device, half, enabled="fp16" in options):
            energy = network(element, center, neighbor, edge_vectors(positions).to(dtype)).sum()
        return -torch.autograd.grad(energy, positions)[0]

    return differentiated


def cell_forces(student: str, system: System) -> np.ndarray:
    """The reference: forces of one cell in double precision, on the CPU. All copies of an atom have the same."""
    import torch

    cell = System(system.symbols, system.positions, system.lengths)
    forces = build(student, cell, "eager", "cpu", None, double=True)(torch.from_numpy(cell.positions))
    return np.asarray(forces)


def force_error(found: np.ndarray, cell: np.ndarray) -> float:
    """max |dF| / rms F of forces [atoms, 3] against those of the cell, whose copies follow each other."""
    if not np.isfinite(found).all():
        raise RefusedError("expected finite forces, found others: this precision's range is too small for the student")
    difference = found.reshape(-1, *cell.shape) - cell
    return float(np.abs(difference).max() / np.sqrt((cell**2).mean()))


def time_calls(
    call: Callable[[int], object], seconds: float, synchronize: Callable[[], object] = lambda: None
) -> tuple[float, int, float]:
    """Median over batches of the seconds a call takes, timed calls, and seconds of the warm-up before them.

    ``call`` gets the number of the call. The device is waited for before and after a batch, not between its calls.
    """

    def batch(first: int, calls: int) -> float:
        synchronize()
        start = time.perf_counter()
        for number in range(first, first + calls):
            call(number)
        synchronize()
        return time.perf_counter() - start

    warm_up = batch(0, WARM_UP)
    one = batch(WARM_UP, 1)
    calls, done = max(1, int(seconds / BATCHES / one)), WARM_UP + 1
    times: list[float] = []
    while len(times) < 2 or (len(times) < BATCHES and one * len(times) < seconds):
        times.append(batch(done, calls) / calls)
        done += calls
    return statistics.median(times), calls * len(times), warm_up + one


def measure(
    student: str, system: System, engine: str, device: str, package: Path | None, seconds: float, reference: np.ndarray
) -> dict[str, Any]:
    """The numbers of a row; to be called in a process of its own."""
    import torch
    from torch._dynamo.utils import counters

    on_gpu = device == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    forces = build(student, system, engine, device, None if package is None else str(package))
    positions = torch.from_numpy(system.all_positions()).to(device)
    error = force_error(forces(positions).cpu().numpy(), reference)
    if "compile" in engine and not counters["stats"]["unique_graphs"]:
        raise RefusedError(
            "expected torch.compile to compile the program, found that it left it as it was: it takes no TorchScript"
        )
    random = torch.Generator().manual_seed(1)
    shape = (NUM_DISPLACED, *positions.shape)
    displaced = positions + DISPLACEMENT * torch.randn(shape, dtype=torch.float64, generator=random).to(device)
    step, calls, warm_up = time_calls(
        lambda number: forces(displaced[number % NUM_DISPLACED]),
        seconds,
        torch.cuda.synchronize if on_gpu else lambda: None,
    )
    return {
        "ms": 1e3 * step,
        "atom_steps_per_s": system.num_atoms / step,
        "calls": calls,
        "warm_up": f"{WARM_UP + 1} calls, {warm_up:.2f} s, discarded",
        "memory_MB": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else peak_memory(),
        "memory_of": "GPU, tensors" if on_gpu else "process, resident",
        "force_error": error,
    }
