"""Labelled frames in one compressed file, and the graphs that potentials see.

A *potential* here is any module or function with the call of `PaiNN.forward`: ``(element [num_nodes], center, neighbor
[num_edges], rij [num_edges, 3]) -> atom energies [num_nodes]`` in eV. Students and the teacher are both potentials, so
labels, training data and dynamics share one road from positions to energies, forces and virials.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "Frames",
    "Graph",
    "energy_forces_virial",
    "file_checksum",
    "find_pairs",
    "frame_graph",
    "image_shifts",
    "write_atomically",
]

Potential = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

#: Order of the six components of a virial, as in LAMMPS.
VOIGT = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


@dataclass
class Frames:
    """Frames with labels, as ragged arrays: atoms of frame ``f`` are rows ``first[f]:first[f + 1]``.

    Attributes
    ----------
    numbers : uint8 [atoms]
        atomic numbers
    positions : float32 [atoms, 3]
        Å; labels belong to the positions as rounded to float32
    forces : float32 [atoms, 3]
        eV/Å
    first : int64 [frames + 1]
    cell : float64 [frames, 3, 3]
        rows are the lattice vectors, Å; zero where not periodic
    periodic : bool [frames]
        in all three directions or in none
    energy : float64 [frames]
        eV
    virial : float32 [frames, 6]
        -dE/dstrain in eV, components xx, yy, zz, xy, xz, yz (LAMMPS's sign: pressure = (N k T + trace/3 ...) / V)
    kind : str [frames]
        what sort of frame: ``liquid``, ``perturbed``, ``cluster``, ``molecule``, ``wall``, ...
    source : str [frames]
        who drove the trajectory: ``teacher``, ``student``, ``built``
    temperature : float32 [frames]
        K of the thermostat, or NaN
    trajectory : int64 [frames]
        frames of one trajectory (and everything made from them) share it
    held_out : bool [frames]
        never trained on; equal within a trajectory
    """

    numbers: np.ndarray
    positions: np.ndarray
    forces: np.ndarray
    first: np.ndarray
    cell: np.ndarray
    periodic: np.ndarray
    energy: np.ndarray
    virial: np.ndarray
    kind: np.ndarray
    source: np.ndarray
    temperature: np.ndarray
    trajectory: np.ndarray
    held_out: np.ndarray

    PER_ATOM = ("numbers", "positions", "forces")

    def __len__(self) -> int:
        return len(self.energy)

    def atoms(self, frame: int) -> slice:
        """Rows of a frame in the arrays per atom."""
        return slice(int(self.first[frame]), int(self.first[frame + 1]))

    def num_atoms(self) -> np.ndarray:
        """int64 [frames]"""
        return np.diff(self.first)

    def select(self, which: np.ndarray | Sequence[int]) -> Frames:
        """The frames of an index list or a mask, in that order."""
        index = np.arange(len(self))[np.asarray(which)]
        rows = np.concatenate([np.arange(self.first[f], self.first[f + 1]) for f in index] + [np.empty(0, np.int64)])
        values = {}
        for field in fields(self):
            array = getattr(self, field.name)
            values[field.name] = array[rows.astype(np.int64)] if field.name in self.PER_ATOM else array
            if field.name not in (*self.PER_ATOM, "first"):
                values[field.name] = array[index]
        values["first"] = np.concatenate([[0], np.cumsum(self.num_atoms()[index])]).astype(np.int64)
        return Frames(**values)

    @staticmethod
    def join(parts: Sequence[Frames]) -> Frames:
        """All frames of several sets; trajectories keep their numbers, so callers number them apart."""
        values = {
            f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Frames) if f.name != "first"
        }
        sizes = np.concatenate([p.num_atoms() for p in parts])
        return Frames(first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), **values)

    @staticmethod
    def build(
        numbers: Sequence[np.ndarray],
        positions: Sequence[np.ndarray],
        cell: Sequence[np.ndarray | None],
        kind: str,
        source: str,
        temperature: Sequence[float],
        trajectory: Sequence[int],
    ) -> Frames:
        """Frames without labels yet (they are NaN). ``cell`` [3, 3] in Å, or None: not periodic. None is held out."""
        n = len(numbers)
        sizes = [len(z) for z in numbers]
        atoms = sum(sizes)
        return Frames(
            numbers=np.concatenate(numbers).astype(np.uint8),
            positions=np.concatenate(positions).astype(np.float32),
            forces=np.full((atoms, 3), np.nan, np.float32),
            first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            cell=np.array([np.zeros((3, 3)) if c is None else np.asarray(c) for c in cell], np.float64).reshape(
                n, 3, 3
            ),
            periodic=np.array([c is not None for c in cell], bool),
            energy=np.full(n, np.nan),
            virial=np.full((n, 6), np.nan, np.float32),
            kind=np.full(n, kind, "U16"),
            source=np.full(n, source, "U16"),
            temperature=np.asarray(temperature, np.float32),
            trajectory=np.asarray(trajectory, np.int64),
            held_out=np.zeros(n, bool),
        )

    def hold_out(self, fraction: float, seed: int) -> None:
        """Hold out whole trajectories, within each kind, until ``fraction`` of its frames is reached.

        A trajectory is held out as a whole, never a frame alone: neighbors in time are nearly copies of each other.
        """
        rng = np.random.default_rng(seed)
        self.held_out[:] = False
        first_kind = {t: k for t, k in zip(self.trajectory[::-1].tolist(), self.kind[::-1].tolist(), strict=True)}
        for kind in sorted(set(first_kind.values())):
            trajectories = np.array(sorted(t for t, k in first_kind.items() if k == kind))
            members = {t: np.flatnonzero(self.trajectory == t) for t in trajectories}
            wanted, found = fraction * sum(len(m) for m in members.values()), 0
            for t in rng.permutation(trajectories):
                if found >= wanted:
                    break
                self.held_out[members[t]] = True
                found += len(members[t])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one compressed ``.npz``."""

        def write(temporary: Path) -> None:
            with open(temporary, "wb") as file:
                np.savez_compressed(file, **{f.name: getattr(self, f.name) for f in fields(self)})

        write_atomically(path, write)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Frames:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return Frames(**{f.name: file[f.name] for f in fields(Frames)})


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    """Call ``write(temporary path)``, then rename: a kill leaves the old file or the new one, never half of one."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    write(temporary)
    os.replace(temporary, path)


def file_checksum(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# ---------------------------------------------------------------------------------------------------------------- pairs


def image_shifts(cell: Tensor, cutoff: float) -> Tensor:
    """Integer shifts [images, 3] that reach every neighbor once fractional differences lie in [-1/2, 1/2].

    A neighbor at fractional difference f + s is at least |f + s| h away (h: distance between opposite faces), so only
    |s| < cutoff / h + 1/2 matters. For a box of at least twice the cutoff that is the minimum image alone.
    """
    volume = torch.linalg.det(cell).abs()
    faces = [torch.linalg.cross(cell[..., k - 2, :], cell[..., k - 1, :], dim=-1) for k in range(3)]
    lengths = [volume / torch.linalg.vector_norm(face, dim=-1) for face in faces]
    most = [max(int(np.ceil(cutoff / float(h.min()) + 0.5)) - 1, 0) for h in lengths]
    axes = [torch.arange(-m, m + 1, device=cell.device) for m in most]
    return torch.cartesian_prod(*axes).to(cell.dtype).view(-1, 3)


def times_matrix(rows: Tensor, matrix: Tensor) -> Tensor:
    """rows [replicas, ..., 3] @ matrix [replicas, 3, 3], element by element: tiny products are slow as batched ones."""
    a, b, c = matrix.view(matrix.size(0), *[1] * (rows.dim() - 2), 3, 3).unbind(-2)
    return rows[..., 0:1] * a + rows[..., 1:2] * b + rows[..., 2:3] * c


def find_pairs(
    positions: Tensor, cell: Tensor | None, inverse: Tensor | None, shifts: Tensor | None, cutoff: float
) -> tuple[Tensor, Tensor]:
    """Vectors r_j - r_i of all pairs and images, and which of them are edges, by brute force in static shapes.

    Parameters
    ----------
    positions : [replicas, n, 3], Å
    cell, inverse : [replicas, 3, 3], Å, and its inverse; None where nothing is periodic
    shifts : [images, 3] from `image_shifts`

    Returns
    -------
    vectors : [replicas, n (i), n (j), images, 3]
    edge : bool [replicas, n, n, images]; true for 0 < |r| < cutoff (an atom is no neighbor of itself, its images are)
    """
    if cell is None:
        vectors = (positions.unsqueeze(1) - positions.unsqueeze(2)).unsqueeze(3)
    else:
        assert inverse is not None and shifts is not None
        fractional = times_matrix(positions, inverse)
        fractional = fractional.unsqueeze(1) - fractional.unsqueeze(2)
        fractional = (fractional - fractional.round()).unsqueeze(3) + shifts
        vectors = times_matrix(fractional, cell)
    squared = (vectors * vectors).sum(-1)
    return vectors, (squared < cutoff * cutoff) & (squared > 1e-12)


@dataclass
class Graph:
    """What a potential sees, of one frame or several side by side.

    ``element`` [nodes], ``center`` and ``neighbor`` [edges], ``rij`` [edges, 3] in Å, ``frame`` [nodes] (whose node).
    """

    element: Tensor
    center: Tensor
    neighbor: Tensor
    rij: Tensor
    frame: Tensor
    num_frames: int


def frame_graph(
    frames: Frames, index: int, elements: Sequence[int], cutoff: float, device: torch.device | str
) -> Graph:
    """The graph of one frame, with edge vectors subtracted in float64 and given as float32.

    ``elements``: atomic numbers in the order of the element index.
    """
    rows = frames.atoms(index)
    positions = torch.as_tensor(frames.positions[rows], device=device).double().unsqueeze(0)
    cell = inverse = shifts = None
    if frames.periodic[index]:
        on_host = torch.as_tensor(frames.cell[index : index + 1])
        shifts = image_shifts(on_host, cutoff).to(device)
        cell, inverse = on_host.to(device), torch.linalg.inv(on_host).to(device)
    vectors, edge = find_pairs(positions, cell, inverse, shifts, cutoff)
    _, center, neighbor, _ = edge.nonzero(as_tuple=True)
    lookup = np.full(256, -1, np.int64)
    lookup[list(elements)] = np.arange(len(elements))
    element = torch.as_tensor(lookup[frames.numbers[rows]], device=device)
    return Graph(element, center, neighbor, vectors[edge].float(), torch.zeros_like(element), 1)


def join_graphs(graphs: Sequence[Graph]) -> Graph:
    """Several graphs side by side."""
    nodes = np.cumsum([0] + [g.element.size(0) for g in graphs]).tolist()
    count = np.cumsum([0] + [g.num_frames for g in graphs]).tolist()
    return Graph(
        torch.cat([g.element for g in graphs]),
        torch.cat([g.center + n for g, n in zip(graphs, nodes, strict=False)]),
        torch.cat([g.neighbor + n for g, n in zip(graphs, nodes, strict=False)]),
        torch.cat([g.rij for g in graphs]),
        torch.cat([g.frame + c for g, c in zip(graphs, count, strict=False)]),
        count[-1],
    )


def energy_forces_virial(
    potential: Potential, graph: Graph, create_graph: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Energies [frames] (eV, float64), forces [nodes, 3] (eV/Å), virials [frames, 6] (eV).

    With g = dE/dr_ij of an edge: F_i += g, F_j -= g, and the virial is the sum of -r_ij (x) g. With ``create_graph``
    the three can be differentiated again, as training needs.
    """
    rij = graph.rij.detach().requires_grad_(True)
    with torch.enable_grad():
        energies = potential(graph.element, graph.center, graph.neighbor, rij).double()
        gradient = torch.autograd.grad(energies.sum(), rij, create_graph=create_graph)[0]
    if not create_graph:
        energies, rij = energies.detach(), rij.detach()
    energy = torch.zeros(graph.num_frames, dtype=torch.float64, device=rij.device).index_add(0, graph.frame, energies)
    forces, virial = scatter_gradient(graph, rij, gradient)
    return energy, forces, virial


def scatter_gradient(graph: Graph, rij: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Forces [nodes, 3] and virials [frames, 6] from the gradient dE/dr_ij [edges, 3]."""
    zero = torch.zeros(graph.element.size(0), 3, dtype=gradient.dtype, device=gradient.device)
    forces = zero.index_add(0, graph.center, gradient).index_add(0, graph.neighbor, -gradient)
    per_edge = torch.stack([-rij[:, a] * gradient[:, b] for a, b in VOIGT], dim=1)
    virial = torch.zeros(graph.num_frames, 6, dtype=gradient.dtype, device=gradient.device)
    return forces, virial.index_add(0, graph.frame.index_select(0, graph.center), per_edge)


def label(
    frames: Frames, potential: Potential, elements: Sequence[int], cutoff: float, device: torch.device | str,
    atoms_per_call: int = 2500,
) -> None:  # fmt: skip
    """Fill energy, forces and virial of all frames in place from a potential, in batches of some atoms."""
    f = 0
    sizes = frames.num_atoms()
    while f < len(frames):
        batch, atoms = [f], int(sizes[f])
        while batch[-1] + 1 < len(frames) and atoms + sizes[batch[-1] + 1] <= atoms_per_call:
            batch.append(batch[-1] + 1)
            atoms += int(sizes[batch[-1]])
        graph = join_graphs([frame_graph(frames, b, elements, cutoff, device) for b in batch])
        energy, forces, virial = energy_forces_virial(potential, graph)
        frames.energy[batch] = energy.cpu().numpy()
        frames.forces[frames.first[f] : frames.first[batch[-1] + 1]] = forces.cpu().numpy()
        frames.virial[batch] = virial.cpu().numpy()
        f = batch[-1] + 1
