"""Edges of a set of atoms: all pairs nearer than the cutoff, periodic images included, equal for every method.

Three packages can search, in this order of preference:

``matscipy``
    cell lists in C, periodic
``torch_cluster``
    k-d tree or GPU search; knows no periodicity, so it searches among images that are made here
``brute``
    all distances, with NumPy alone

A method only proposes pairs, within a slightly larger radius. Vectors, the strict test |rij| < cutoff and the order of
edges are the same lines of code for all of them, so their results are equal to the last bit.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["METHODS", "Edges", "choose_method", "find_edges"]

log = logging.getLogger("mlff")

#: Methods in the order in which ``auto`` tries them, with the module that each needs.
METHODS: dict[str, str] = {"matscipy": "matscipy.neighbours", "torch_cluster": "torch_cluster", "brute": "numpy"}

#: Pairs are proposed up to this factor beyond the cutoff: rounding of a method must not lose an edge.
MARGIN = 1.0 + 1e-9

#: Brute force holds this many distances at a time (16 MB).
PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Edges:
    """Both directions of every pair, sorted by center, then neighbor, then shift.

    Attributes
    ----------
    center, neighbor : int64 [edges]
        atom indices i and j
    rij : float64 [edges, 3]
        r_j + shift @ cell - r_i in Å; |rij| < cutoff strictly
    shift : int64 [edges, 3]
        lattice vectors added to r_j; zero along directions that are not periodic
    """

    center: np.ndarray
    neighbor: np.ndarray
    rij: np.ndarray
    shift: np.ndarray


@functools.cache
def choose_method(method: str = "auto") -> str:
    """The method that ``find_edges`` uses for ``method``; the choice is logged once."""
    if method == "auto":
        missing: list[str] = []
        for name, module in METHODS.items():
            reason = import_failure(module)
            if reason is None:
                without = f" (not usable here: {'; '.join(missing)})" if missing else ""
                log.info("neighbor search: %s, chosen automatically%s", name, without)
                return name
            missing.append(f"{name}: {reason}")
    if method not in METHODS:
        raise ValueError(f"neighbors: expected auto, {', '.join(METHODS)}, found {method!r}")
    reason = import_failure(METHODS[method])
    if reason is not None:
        raise ImportError(
            f"neighbors={method!r} needs the package {method}, which cannot be used here ({reason}). Install it with "
            f"'pip install {method}', or use neighbors='auto'."
        )
    log.info("neighbor search: %s, as requested", method)
    return method


def import_failure(module: str) -> str | None:
    """Why a module cannot be imported, or None if it can."""
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:  # OSError: a compiled part that fits another Torch
        return str(error)
    return None


def find_edges(
    positions: np.ndarray,
    cell: np.ndarray | None,
    pbc: bool | Sequence[bool] | np.ndarray,
    cutoff: float,
    method: str = "auto",
) -> Edges:
    """All edges with |rij| < cutoff, among them those of an atom to its own images.

    Parameters
    ----------
    positions : [atoms, 3]
        Å; anywhere, inside the cell or not
    cell : [3, 3]
        rows are lattice vectors, Å; rows of directions that are not periodic play no part and may be zero
    pbc
        periodic or not, for all directions or each
    cutoff
        Å
    method
        ``auto``, ``matscipy``, ``torch_cluster`` or ``brute``
    """
    search = SEARCHES[choose_method(method)]
    positions = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    if not np.isfinite(positions).all():
        atom = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
        raise ValueError(f"positions: expected finite numbers, found {positions[atom].tolist()} for atom {atom}")
    periodic = np.broadcast_to(np.asarray(pbc, dtype=bool), 3)
    basis = periodic_basis(cell, periodic)
    if len(positions) == 0:
        return Edges(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3), np.int64))

    turns = np.where(periodic, np.floor(positions @ np.linalg.inv(basis)), 0.0)
    wrapped = positions - turns @ basis
    center, neighbor, shift = search(wrapped, basis, periodic, cutoff * MARGIN)

    rij = wrapped[neighbor] - wrapped[center] + shift @ basis
    keep = np.einsum("ij,ij->i", rij, rij) < cutoff * cutoff
    keep &= (center != neighbor) | shift.any(axis=1)
    center, neighbor, rij = center[keep], neighbor[keep], rij[keep]
    shift = shift[keep] + (turns[center] - turns[neighbor]).astype(np.int64)
    if not rij.any(axis=1).all():
        edge = int(np.flatnonzero(~rij.any(axis=1))[0])
        raise ValueError(
            f"positions: expected atoms apart from each other, found atoms {center[edge]} and {neighbor[edge]} at the "
            "same place"
        )
    order = np.lexsort((shift[:, 2], shift[:, 1], shift[:, 0], neighbor, center))
    return Edges(center[order], neighbor[order], rij[order], shift[order])


def periodic_basis(cell: np.ndarray | None, periodic: np.ndarray) -> np.ndarray:
    """The lattice vectors of periodic directions, completed by unit vectors orthogonal to them."""
    basis = np.zeros((3, 3))
    if periodic.any():
        vectors = np.zeros((3, 3)) if cell is None else np.asarray(cell, dtype=np.float64).reshape(3, 3)
        basis[periodic] = vectors[periodic]
        lengths = np.linalg.norm(basis[periodic], axis=1)
        unit = basis[periodic] / np.where(lengths > 0.0, lengths, 1.0)[:, None]
        if not np.isfinite(vectors[periodic]).all() or np.linalg.matrix_rank(unit, tol=1e-6) < periodic.sum():
            raise ValueError(
                "cell: expected independent lattice vectors along the periodic directions "
                f"{periodic.tolist()}, found {vectors.tolist()}"
            )
    # the last rows of the complete V of a singular value decomposition span what the periodic vectors leave
    basis[~periodic] = np.linalg.svd(basis[periodic], full_matrices=True)[2][periodic.sum() :]
    return basis


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # center [pairs], neighbor [pairs], shift [pairs, 3], int64


def search_matscipy(positions: np.ndarray, basis: np.ndarray, periodic: np.ndarray, radius: float) -> Pairs:
    """Pairs by matscipy, in a box around all atoms: beyond its faces atoms share one bin, and the search is slow."""
    from matscipy.neighbours import neighbour_list

    along = positions @ np.linalg.inv(basis)
    low, high = along.min(axis=0), along.max(axis=0)
    stretch = np.where(periodic, 1.0, high - low + 2.0 * radius)
    origin = np.where(periodic, 0.0, low - radius) @ basis
    center, neighbor, shift = neighbour_list(
        "ijS", positions=positions - origin, cell=basis * stretch[:, None], pbc=periodic, cutoff=radius
    )
    return center.astype(np.int64), neighbor.astype(np.int64), shift.astype(np.int64).reshape(-1, 3)


def search_torch_cluster(positions: np.ndarray, basis: np.ndarray, periodic: np.ndarray, radius: float) -> Pairs:
    """Pairs by torch_cluster among the atoms and their images."""
    import torch
    import torch_cluster

    points, atom, shift = with_images(positions, basis, periodic, radius)
    found = torch_cluster.radius(
        torch.from_numpy(points), torch.from_numpy(positions), radius, max_num_neighbors=len(points)
    )
    center, image = found.numpy()
    return center, atom[image], shift[image]


def search_brute(positions: np.ndarray, basis: np.ndarray, periodic: np.ndarray, radius: float) -> Pairs:
    """Pairs from all distances between atoms and images, some centers at a time."""
    points, atom, shift = with_images(positions, basis, periodic, radius)
    rows = max(1, PAIRS_AT_ONCE // len(points))
    centers, images = [], []
    for first in range(0, len(positions), rows):
        squared = np.zeros((len(positions[first : first + rows]), len(points)))
        for axis in range(3):
            squared += (positions[first : first + rows, None, axis] - points[None, :, axis]) ** 2
        center, image = np.nonzero(squared < radius * radius)
        centers.append(center + first)
        images.append(image)
    image = np.concatenate(images)
    return np.concatenate(centers), atom[image], shift[image]


def with_images(
    positions: np.ndarray, basis: np.ndarray, periodic: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms of the cell and their images within the radius of it: points [points, 3], atom [points], shift [points, 3].

    A point at fractional coordinate f is at least (f - 1) h or -f h away from a cell with faces h apart.
    """
    inverse = np.linalg.inv(basis)
    reach = radius * np.linalg.norm(inverse, axis=0) + 1e-9  # the cutoff in units of h; wrapping rounds
    most = np.where(periodic, np.ceil(reach), 0).astype(np.int64) + periodic
    axes = [np.arange(-m, m + 1) for m in most]
    shifts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    along = (positions @ inverse)[:, None, :] + shifts
    near = (((along > -reach) & (along < 1.0 + reach)) | ~periodic).all(axis=2)
    atom, image = np.nonzero(near)
    return positions[atom] + shifts[image] @ basis, atom, shifts[image]


SEARCHES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, float], Pairs]] = {
    "matscipy": search_matscipy,
    "torch_cluster": search_torch_cluster,
    "brute": search_brute,
}
