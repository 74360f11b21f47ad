"""Students of your own: from a module with ``forward(element, center, neighbor, rij) -> atom_energy`` to a file.

``element`` int64 [nodes] indexes the file's elements, ``center`` and ``neighbor`` int64 [edges] index nodes, ``rij``
[edges, 3] is r_neighbor - r_center in Å, shorter than the cutoff; ``atom_energy`` [nodes] is in eV. With several ranks
in LAMMPS some nodes at the rim of a rank have no listed edges; their energies do not count.

Before a file is written the program is tried on small random graphs: what must hold is an error where it does not, and
what dynamics suffers from is a warning.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import importlib.util
import io
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import atomic_numbers

from .model_file import write_student

__all__ = ["WrapError", "add_arguments", "run", "wrap"]

log = logging.getLogger("mlff")

#: Of parameters, and of edge vectors and buffers.
TYPES = {
    "fp64": (torch.float64, torch.float64),
    "fp32": (torch.float32, torch.float32),
    "bf16": (torch.bfloat16, torch.float32),
    "fp16": (torch.float16, torch.float32),
}

#: Of energies in double precision, relative to the largest: far above rounding, far below what a fault makes.
TOLERANCE = 1e-9

#: A change of energy (eV) or of the force of a pair (eV/Å) at the cutoff that dynamics would feel.
LARGEST_JUMP, LARGEST_FORCE_JUMP = 1e-6, 1e-4


class WrapError(ValueError):
    """A module cannot be a student; the message says what was expected, what was found and what to do."""


@dataclass(frozen=True)
class TrialGraph:
    """What `forward` takes, with ``rij`` in double."""

    element: torch.Tensor
    center: torch.Tensor
    neighbor: torch.Tensor
    rij: torch.Tensor


def wrap(
    module: torch.nn.Module,
    elements: Sequence[str],
    cutoff: float,
    num_interactions: int,
    path: str | os.PathLike[str],
    name: str | None = None,
    reference_energies: Sequence[float] | None = None,
    precisions: Sequence[str] = ("fp64", "fp32"),
    **provenance: Any,
) -> list[str]:
    """Write a module as a student for LAMMPS and ASE; return the warnings, which are logged, too.

    Parameters
    ----------
    module
        scripted, or traced where scripting fails; a module that is TorchScript already is taken as it is
    elements
        chemical symbols in the order of the element index
    cutoff
        Å
    num_interactions
        an atom's energy depends on atoms up to so many edges away: the number of message passings
    path
        the file to write (.pt)
    name
        in the header; that of the file by default
    reference_energies
        eV for each element, added to every atom of it in double precision; zero by default
    precisions
        some of fp64, fp32, bf16, fp16, with fp64 among them: LAMMPS compares every run with it. In 16 bits parameters
        are narrow, edge vectors and buffers float32: the module does its own casts
    provenance
        joins the header as it is: teacher, data, errors, license, references, ...
    """
    header = header_of(module, elements, cutoff, num_interactions, precisions)
    header["name"] = name or Path(path).stem
    if reference_energies is not None and len(reference_energies) != len(elements):
        raise WrapError(
            f"reference_energies: expected a number for each of the {len(elements)} elements, found "
            f"{len(reference_energies)}"
        )
    header["reference_energies"] = [float(e) for e in reference_energies or [0.0] * len(elements)]
    trial = Trial(scripted(module, cutoff, len(elements)), cutoff, len(elements))
    warnings = trial.run(num_interactions, precisions)
    for warning in warnings:
        log.warning("warning: %s", warning)
    write_student(path, trial.load(), {**header, **provenance})
    return warnings


def header_of(
    module: torch.nn.Module, elements: Sequence[str], cutoff: float, num_interactions: int, precisions: Sequence[str]
) -> dict[str, Any]:
    """The fields that do not depend on the file's name; raises `WrapError` where one is wrong."""
    unknown = [symbol for symbol in elements if symbol == "X" or symbol not in atomic_numbers]
    if not elements or unknown or len(set(elements)) != len(elements):
        raise WrapError(f"elements: expected different chemical symbols, found {' '.join(elements) or 'none'}")
    if not 0.0 < cutoff < float("inf"):
        raise WrapError(f"cutoff: expected a positive number of Å, found {cutoff}")
    if num_interactions < 1:
        raise WrapError(f"num_interactions: expected at least 1, found {num_interactions}")
    if "fp64" not in precisions or not set(precisions) <= set(TYPES):
        raise WrapError(f"precisions: expected some of {' '.join(TYPES)}, with fp64, found {' '.join(precisions)}")
    parameters = list(module.parameters())
    types = {value.dtype for value in parameters if value.is_floating_point()}
    if not types <= {torch.float32, torch.float64}:
        raise WrapError(f"module: expected parameters of float32 or float64, found {', '.join(map(str, types))}")
    return {
        "kind": "custom",
        "num_interactions": num_interactions,
        "num_parameters": sum(value.numel() for value in parameters),
        "cutoff": float(cutoff),
        "elements": list(elements),
        "atomic_numbers": [int(atomic_numbers[symbol]) for symbol in elements],
        "dtype": "float64" if torch.float64 in types else "float32",
        "precisions": [precision for precision in TYPES if precision in precisions],
    }


def scripted(module: torch.nn.Module, cutoff: float, num_elements: int) -> torch.jit.ScriptModule:
    """The module as TorchScript: compiled, or, where the compiler does not understand it, traced."""
    if isinstance(module, torch.jit.ScriptModule):
        return module
    module = module.eval()
    try:
        return torch.jit.script(module)
    except Exception as error:  # the compiler has many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    doubles = any(value.dtype == torch.float64 for value in module.parameters())
    dtype = torch.float64 if doubles else torch.float32
    graph = random_graph(np.random.default_rng(0), cutoff, num_elements)
    inputs = (graph.element, graph.center, graph.neighbor, graph.rij.to(dtype))
    try:
        program = torch.jit.trace(copy.deepcopy(module).to(dtype), inputs, check_trace=False)
    except Exception as error:
        raise WrapError(
            "module: expected one that TorchScript can compile or trace, found that it cannot. Compiling: "
            f"{reason}. Tracing: {error}"
        ) from error
    log.info("the module was traced, since TorchScript cannot compile it: %s", reason)
    return program


def graph_of(positions: np.ndarray, element: np.ndarray, cutoff: float) -> TrialGraph:
    """Isolated atoms as a graph."""
    vectors = torch.as_tensor(positions[None, :, :] - positions[:, None, :])
    distances = vectors.norm(dim=2).fill_diagonal_(cutoff)
    center, neighbor = torch.nonzero(distances < cutoff, as_tuple=True)
    return TrialGraph(torch.as_tensor(element), center, neighbor, vectors[center, neighbor])


def random_graph(rng: np.random.Generator, cutoff: float, num_elements: int, size: int = 24) -> TrialGraph:
    """Atoms at random, no two nearer than a third of the cutoff, each with some ten neighbors."""
    side, points = 1.6 * cutoff, np.zeros((0, 3))
    while len(points) < size:
        point = rng.uniform(0.0, side, 3)
        if not len(points) or np.linalg.norm(points - point, axis=1).min() > cutoff / 3:
            points = np.vstack([points, point])
    return graph_of(points, rng.integers(0, num_elements, size), cutoff)


def chain(length: int, cutoff: float, num_elements: int) -> TrialGraph:
    """Atoms in a bent row, each of which sees the next and the one before."""
    rng = np.random.default_rng(7)
    points = np.zeros((length, 3))
    points[:, 0] = 0.7 * cutoff * np.arange(length)
    points += rng.uniform(-0.08, 0.08, (1000, 3))[:length] * cutoff  # the same for every length
    return graph_of(points, np.arange(length) % num_elements, cutoff)


class Trial:
    """A program as its file will have it, on graphs that show what it does."""

    def __init__(self, program: torch.jit.ScriptModule, cutoff: float, num_elements: int) -> None:
        self.cutoff, self.num_elements = cutoff, num_elements
        buffer = io.BytesIO()
        torch.jit.save(program, buffer)
        self.saved = buffer.getvalue()
        self.program = self.cast("fp64")
        self.rng = np.random.default_rng(11)
        self.graph = random_graph(self.rng, cutoff, num_elements)

    def load(self) -> torch.jit.ScriptModule:
        """The program as it was saved."""
        return torch.jit.load(io.BytesIO(self.saved), map_location="cpu").eval()

    def cast(self, precision: str) -> torch.jit.ScriptModule:
        """The program as LAMMPS casts it."""
        parameter_type, buffer_type = TYPES[precision]
        program = self.load()
        for values, dtype in ((program.parameters(), parameter_type), (program.buffers(), buffer_type)):
            for value in values:
                value.requires_grad_(False)
                if value.is_floating_point():
                    value.data = value.data.to(dtype)
        return program

    def run(self, num_interactions: int, precisions: Sequence[str]) -> list[str]:
        """Raises `WrapError` where something must not be; returns warnings."""
        self.check_gradient()
        self.check_small_graphs()
        self.check_invariance()
        warnings = self.check_reach(num_interactions) + self.check_cutoff()
        for precision in set(precisions) - {"fp64"}:
            self.check_precision(precision)
        return warnings

    def energies(self, graph: TrialGraph, what: str, program: torch.jit.ScriptModule | None = None) -> torch.Tensor:
        """What forward returns, checked for its shape and type."""
        try:
            found = (program or self.program)(graph.element, graph.center, graph.neighbor, graph.rij)
        except Exception as error:  # whatever the module raises
            raise WrapError(f"forward fails on {what}: {str(error).strip().splitlines()[-1]}") from error
        nodes = len(graph.element)
        if not isinstance(found, torch.Tensor) or found.shape != (nodes,) or not found.is_floating_point():
            text = f"{list(found.shape)}, {found.dtype}" if isinstance(found, torch.Tensor) else type(found).__name__
            raise WrapError(
                f"forward on {what}: expected energies, floating-point numbers [{nodes}], one for each atom, found "
                f"{text}"
            )
        if not torch.isfinite(found).all():
            raise WrapError(f"forward on {what}: expected finite energies, found nan or inf")
        return found

    def gradient(self, graph: TrialGraph, what: str, program: torch.jit.ScriptModule | None = None) -> torch.Tensor:
        """Of the sum of energies, by rij."""
        rij = graph.rij.clone().requires_grad_(True)
        energies = self.energies(replace(graph, rij=rij), what, program)
        if not energies.requires_grad:
            raise WrapError(
                f"forward on {what}: expected energies that depend on rij in a way that autograd can follow, found "
                "that they do not (detach, no_grad, .item() or a constant)"
            )
        (gradient,) = torch.autograd.grad(energies.sum(), rij)
        if not torch.isfinite(gradient).all():
            raise WrapError(f"forward on {what}: expected a finite gradient by rij, found nan or inf")
        return gradient

    def check_gradient(self) -> None:
        """Energies in double where rij is, with a finite gradient that is their derivative."""
        found = self.energies(self.graph, "a random graph").dtype
        if found != torch.float64:
            raise WrapError(
                f"forward in fp64: expected energies of torch.float64, found {found}. Make tensors with "
                "dtype=rij.dtype; a traced module keeps the types of its trace"
            )
        gradient = self.gradient(self.graph, "a random graph")
        self.check_derivative(gradient)

    def check_derivative(self, gradient: torch.Tensor) -> None:
        """Differences of energies are what the gradient says: nothing is hidden from autograd."""
        step = 1e-5 * torch.as_tensor(self.rng.normal(size=gradient.shape))
        ahead, behind = (
            self.energies(replace(self.graph, rij=self.graph.rij + sign * step), "a random graph").sum()
            for sign in (1.0, -1.0)
        )
        found, expected = float((gradient * step).sum()), float(ahead - behind) / 2.0
        # the third order and rounding are below 1e-9 of the steps; a term that is missing is not
        if abs(found - expected) > 1e-4 * float((gradient * step).norm()) + TOLERANCE * float(step.norm()):
            raise WrapError(
                f"expected a gradient that is the derivative of the energy, found {found:.6g} eV where energies differ "
                f"by {expected:.6g}. Something on the way from rij to the energies is hidden from autograd (detach, "
                "no_grad)"
            )

    def check_small_graphs(self) -> None:
        """No edge, one atom, two atoms, and, as at the rim of a rank, nodes without listed edges."""
        none = torch.zeros(0, dtype=torch.long)
        for size in (1, 3):
            element = torch.arange(size) % self.num_elements
            lone = TrialGraph(element, none, none, torch.zeros(0, 3, dtype=torch.float64))
            self.energies(lone, f"a graph of {size} atom{'s' if size > 1 else ''} without edges")
        pair = chain(2, self.cutoff, self.num_elements)
        self.gradient(pair, "a pair")
        one_way = TrialGraph(pair.element, pair.center[:1], pair.neighbor[:1], pair.rij[:1])
        self.gradient(one_way, "a pair of which one atom has no listed edges")

    def check_invariance(self) -> None:
        """Rotations and orders of edges and nodes mean nothing."""
        expected, graph = self.energies(self.graph, "a random graph"), self.graph
        turn = torch.as_tensor(np.linalg.qr(self.rng.normal(size=(3, 3)))[0])
        turn = turn * torch.linalg.det(turn)  # a rotation, no mirror
        self.expect_energies(expected, replace(graph, rij=graph.rij @ turn.T), "all edge vectors are rotated")
        order = torch.as_tensor(self.rng.permutation(len(graph.rij)))
        shuffled = TrialGraph(graph.element, graph.center[order], graph.neighbor[order], graph.rij[order])
        self.expect_energies(expected, shuffled, "edges come in another order")
        node = torch.as_tensor(self.rng.permutation(len(graph.element)))
        new = torch.argsort(node)
        renamed = TrialGraph(graph.element[node], new[graph.center], new[graph.neighbor], graph.rij)
        self.expect_energies(expected[node], renamed, "atoms come in another order")

    def expect_energies(self, expected: torch.Tensor, graph: TrialGraph, case: str) -> None:
        """The energies of a graph are these."""
        found = self.energies(graph, "a random graph")
        change = float((found - expected).abs().max())
        if change > TOLERANCE * self.size(expected):
            raise WrapError(
                f"expected energies that stay the same when {case}, found one that changes by {change:.3g} eV in fp64"
            )

    @staticmethod
    def size(energies: torch.Tensor) -> float:
        """Of energies, eV."""
        return max(1.0, float(energies.abs().max()))

    def check_reach(self, num_interactions: int) -> list[str]:
        """How far an atom sees: which atom of a chain, when it goes, changes the energy of the first."""
        first = [
            float(self.energies(chain(length, self.cutoff, self.num_elements), f"a chain of {length} atoms")[0])
            for length in range(1, num_interactions + 5)
        ]
        tolerance = TOLERANCE * max(1.0, *map(abs, first))
        reach = max((k for k in range(1, len(first)) if abs(first[k] - first[k - 1]) > tolerance), default=0)
        if reach > num_interactions:
            far = "or more " if reach == len(first) - 1 else ""
            raise WrapError(
                f"num_interactions: expected that an atom's energy depends on atoms up to {num_interactions} edges "
                f"away, found that it depends on one {reach} {far}edges away. State the number of message passings, "
                "and use no means or norms over all atoms"
            )
        if reach < num_interactions:
            return [
                f"num_interactions is {num_interactions}, but energies were seen to depend on atoms up to {reach} "
                "edges away alone; several ranks compute fewer ghosts with the smallest number that is right"
            ]
        return []

    def check_cutoff(self) -> list[str]:
        """What a pair has in energy and force just before it leaves the graph."""
        jump = force_jump = 0.0
        distance = self.cutoff * (1.0 - 1e-9)
        for pair in range(self.num_elements**2):
            element = np.array([pair % self.num_elements, pair // self.num_elements, 0])
            points = np.array([[0.0, 0, 0], [0.6 * distance, 0.0, 0.8 * distance], [0.3, 0.2, -0.3]])
            points[2] *= self.cutoff / np.linalg.norm(points[2]) / 2
            graph = graph_of(points, element, self.cutoff)
            leaves = (graph.center + graph.neighbor == 1).nonzero().flatten()
            stays = (graph.center + graph.neighbor != 1).nonzero().flatten()
            what = "three atoms"
            without = TrialGraph(graph.element, graph.center[stays], graph.neighbor[stays], graph.rij[stays])
            change = self.energies(graph, what).sum() - self.energies(without, what).sum()
            jump = max(jump, abs(float(change)))
            force_jump = max(force_jump, float(self.gradient(graph, what)[leaves].norm(dim=1).max()))
        warnings = []
        if jump > LARGEST_JUMP:
            warnings.append(
                f"the energy jumps by {jump:.3g} eV where a pair leaves the cutoff: dynamics will heat or cool"
            )
        if force_jump > LARGEST_FORCE_JUMP:
            warnings.append(f"the force of a pair jumps by {force_jump:.3g} eV/Å at the cutoff: use short time steps")
        return warnings

    def check_precision(self, precision: str) -> None:
        """It runs, with finite energies and forces."""
        program, exact = self.cast(precision), self.energies(self.graph, "a random graph")
        graph = replace(self.graph, rij=self.graph.rij.to(TYPES[precision][1]))
        what = f"a random graph in {precision}"
        error = float((self.energies(graph, what, program).double() - exact).abs().max())
        self.gradient(graph, what, program)
        log.info("%s: an atom's energy differs by at most %.2g eV from fp64 on a random graph", precision, error)


def load_module(source: str) -> torch.nn.Module:
    """The module that ``FILE.py:NAME``, ``package.module:NAME`` or the TorchScript file ``FILE.pt`` names.

    NAME is a module, or a class or function that gives one without arguments.
    """
    place, colon, name = source.rpartition(":")
    if not colon:
        if not os.path.exists(source):
            raise WrapError(
                f"{source}: expected FILE.py:NAME, package.module:NAME or a TorchScript file, found neither. NAME is a "
                "class or a function that gives the module."
            )
        try:
            return torch.jit.load(source, map_location="cpu")
        except RuntimeError as error:
            raise WrapError(
                f"{source}: expected a TorchScript file, found another: {str(error).splitlines()[0]}"
            ) from error
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        if spec is None or spec.loader is None or not os.path.exists(place):
            raise WrapError(f"{place}: expected a Python file, found none. Check its name.")
        sys.path.insert(0, str(Path(place).resolve().parent))  # for its own imports
        home = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = home  # where TorchScript looks for its sources
        spec.loader.exec_module(home)
    else:
        sys.path.insert(0, os.getcwd())
        home = importlib.import_module(place)
    found = getattr(home, name, None)
    if found is None:
        raise WrapError(f"{place}: expected the name {name!r} in it, found no such name")
    module = found if isinstance(found, torch.nn.Module) or not callable(found) else found()
    if not isinstance(module, torch.nn.Module):
        raise WrapError(f"{source}: expected a torch.nn.Module, found {type(module).__name__}")
    return module


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``mlff wrap``."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="FILE.py:NAME or package.module:NAME, a class or function that gives the module; or a TorchScript file",
    )
    parser.add_argument("out", metavar="FILE", help="the student to write (.pt)")
    parser.add_argument("--elements", nargs="+", required=True, help="symbols in the order of the element index")
    parser.add_argument("--cutoff", type=float, required=True, help="in Angstrom")
    parser.add_argument(
        "--interactions",
        type=int,
        required=True,
        help="an atom's energy depends on atoms up to so many edges away: the number of message passings",
    )
    parser.add_argument("--name", help="name in the header (default: that of FILE without .pt)")
    parser.add_argument("--reference-energies", nargs="+", type=float, help="eV, added to every atom of each element")
    parser.add_argument(
        "--precisions", nargs="+", default=["fp64", "fp32"], help="that the module works in (default: fp64 fp32)"
    )


def run(arguments: argparse.Namespace) -> None:
    """``mlff wrap``."""
    wrap(
        load_module(arguments.source),
        arguments.elements,
        arguments.cutoff,
        arguments.interactions,
        arguments.out,
        arguments.name,
        arguments.reference_energies,
        arguments.precisions,
    )
    log.info("wrote %s", arguments.out)
