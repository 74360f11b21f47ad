"""Writes the reference students and what the Python student computes with them, for the tests of all engines.

    python unittest/reference/make_reference.py

``NAME.pt``    a student of the released format with random weights. It stays as it is: later versions must read it.
``NAME.json``  graphs with atom energies and edge gradients, by `PaiNN` in double precision on the CPU:

    {"model": "NAME.pt", "isolated_energy": [for each element],
     "graphs": [{"name", "element" [nodes], "first_edge" [nodes + 1], "neighbor" [edges], "rij" [edges][3],
                 "atom_energy" [nodes], "gradient" [edges][3]}]}

Random weights with a gain above one are harder than trained ones: every SiLU is bent, every term of the network
matters, and forces are some eV/Å.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "models" / "python"))

from mlff.model_file import load_model, save_model  # noqa: E402 (the package of this checkout)
from mlff.painn import PaiNN  # noqa: E402

GAIN = 1.2  # of every weight, times 1 / sqrt(number of inputs)
FILTER_GAIN = 0.25  # times that, for the filters: a node sums the messages of tens of neighbors
RMS_FORCE = 2.0  # eV/Å on an atom of the first graph, without the repulsion


class Graph:
    """Edges of a periodic or isolated set of atoms: brute force over images, sorted by center, neighbor, image."""

    def __init__(self, name: str, element: list[int], positions: np.ndarray, cell: np.ndarray | None, cutoff: float):
        self.name = name
        self.element = element
        images = [np.zeros(3)]
        if cell is not None:
            heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
            reach = [range(-n, n + 1) for n in np.ceil(cutoff / heights).astype(int) + 1]
            images = [np.array(shift) @ cell for shift in itertools.product(*reach)]
        self.first_edge, self.center, self.neighbor, self.rij = [0], [], [], []
        for i in range(len(element)):
            for j in range(len(element)):
                for shift in images:
                    r = positions[j] + shift - positions[i]
                    if 1e-9 < np.linalg.norm(r) < cutoff:
                        self.center.append(i)
                        self.neighbor.append(j)
                        self.rij.append(r)
            self.first_edge.append(len(self.neighbor))

    def evaluate(self, model: PaiNN) -> tuple[torch.Tensor, torch.Tensor]:
        """Atom energies and dE/dr_ij."""
        rij = torch.tensor(np.array(self.rij).reshape(-1, 3), dtype=torch.float64, requires_grad=True)
        index = [torch.tensor(values, dtype=torch.long) for values in (self.element, self.center, self.neighbor)]
        energy = model(*index, rij)
        return energy.detach(), torch.autograd.grad(energy.sum(), rij)[0]

    def forces(self, gradient: torch.Tensor) -> torch.Tensor:
        """F_i += g, F_j -= g."""
        forces = torch.zeros(len(self.element), 3, dtype=torch.float64)
        forces.index_add_(0, torch.tensor(self.center, dtype=torch.long), gradient)
        return forces.index_add_(0, torch.tensor(self.neighbor, dtype=torch.long), -gradient)


def random_packing(rng: np.random.Generator, count: int, cell: np.ndarray, distance: float) -> np.ndarray:
    """Positions in the cell, no two (images included) nearer than ``distance``."""
    shifts = [np.array(shift) @ cell for shift in itertools.product((-1, 0, 1), repeat=3)]
    positions: list[np.ndarray] = []
    while len(positions) < count:
        trial = rng.random(3) @ cell
        if all(np.linalg.norm(trial - other + shift) > distance for other in positions for shift in shifts):
            positions.append(trial)
    return np.array(positions)


def make_graphs(num_elements: int, cutoff: float) -> list[Graph]:
    rng = np.random.default_rng(7)
    cubic, slanted = 6.5 * np.eye(3), np.array([[3.1, 0.0, 0.0], [1.2, 2.9, 0.0], [-0.7, 0.9, 3.3]])
    cluster = random_packing(rng, 12, 5.5 * np.eye(3), 0.95)
    triple = np.array([[0.0, 0.0, 0.0], [1.2, 0.4, -0.1], [-0.5, 1.1, 0.7]])
    lone = np.concatenate([triple, triple[:1] + 50.0])  # the last atom sees nobody

    def elements(count: int) -> list[int]:
        return [i % num_elements for i in range(count)]

    return [
        Graph("liquid", elements(20), random_packing(rng, 20, cubic, 0.95), cubic, cutoff),
        Graph("cluster", elements(12), cluster, None, cutoff),
        Graph("images", elements(3), random_packing(rng, 3, slanted, 1.2), slanted, cutoff),  # also of the atom itself
        Graph("walls", elements(2), np.array([[0.0, 0.0, 0.0], [0.3, -0.45, 0.25]]), None, cutoff),  # ZBL rules
        Graph("triple", elements(3), triple, None, cutoff),
        Graph("with a lone atom", elements(4), lone, None, cutoff),
    ]


def make_model(
    elements: list[str], numbers: list[int], size: tuple[int, int, int], cutoff: float, radii: list[float], seed: int
) -> PaiNN:
    torch.manual_seed(seed)
    reference = [-0.6 - 0.27 * i for i in range(len(elements))]
    model = PaiNN(elements, numbers, *size, cutoff, reference, radii)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            inputs = 4 if parameter.dim() == 1 else 1 if name == "embedding" else parameter.size(1)
            gain = GAIN * FILTER_GAIN if "filter" in name else GAIN
            parameter.copy_(torch.randn(parameter.shape) * gain / math.sqrt(inputs))

        # the readout's last map sets the size of the forces; the network alone, so with radii too small to matter
        last = model.energy[2]
        model.double().zbl_radii = [1e-3] * len(elements)
        graph = make_graphs(len(elements), cutoff)[0]
        with torch.enable_grad():
            forces = graph.forces(graph.evaluate(model)[1])
        model.zbl_radii = radii
        last.weight.mul_(RMS_FORCE / forces.square().mean().sqrt())
        last.bias.mul_(0.1)
    return model.float()


def write(name: str, model: PaiNN, folder: Path) -> None:
    path = folder / f"{name}.pt"
    provenance = {
        "date": "2026-11-25",
        "teacher": "none: random weights",
        "data": {"name": "none", "version": 1, "made_by": "unittest/reference/make_reference.py"},
        "errors": {"energy MAE [meV/atom]": 0.0, "force MAE [meV/A]": 0.0},
        "license": "MIT",
        "contributor": "the tests",
        "references": ["@misc{mlff-reference, title = {A student for tests}}"],
    }
    save_model(model, path, name, **provenance)

    model = load_model(path)[0].double()
    no_edges = Graph("", list(range(len(model.elements))), np.zeros((len(model.elements), 3)), None, 0.0)
    graphs = []
    for graph in make_graphs(len(model.elements), model.cutoff):
        energy, gradient = graph.evaluate(model)
        rms = graph.forces(gradient).square().mean().sqrt().item()
        total = energy.sum().item()
        print(f"{name}: {graph.name}: {len(graph.center)} edges, {total:.3f} eV, rms force {rms:.2f} eV/Å")
        graphs.append({
            "name": graph.name, "element": graph.element, "first_edge": graph.first_edge, "neighbor": graph.neighbor,
            "rij": [list(r) for r in graph.rij], "atom_energy": energy.tolist(), "gradient": gradient.tolist(),
        })  # fmt: skip
    content = {"model": path.name, "isolated_energy": no_edges.evaluate(model)[0].tolist(), "graphs": graphs}
    (folder / f"{name}.json").write_text(json.dumps(content) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=HERE, help="where to write; default: beside this script")
    folder = parser.parse_args().folder
    write("painn-tiny-v1", make_model(["H", "O"], [1, 8], (16, 2, 8), 5.0, [0.31, 0.66], 1), folder)
    write("painn-t3-v1", make_model(["H", "C", "O"], [1, 6, 8], (8, 3, 6), 4.0, [0.31, 0.76, 0.66], 2), folder)


if __name__ == "__main__":
    if sys.flags.hash_randomization:  # TorchScript writes constants in the order of a set: the same bytes every time
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    main()
