"""What is measured: clusters of water molecules and boxes of liquid water, all cut from one equilibrated cell."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..neighbors import find_edges

__all__ = ["CELL_ATOMS", "MOLECULES", "System", "make_system"]

#: Atoms of a cluster: how many H2O and how many OH it consists of.
MOLECULES = {3: (1, 0), 12: (4, 0), 50: (16, 1), 100: (32, 2)}

#: Atoms of the cell; boxes are its copies, 1, 2, 4, 8, ... of them.
CELL_ATOMS = 192

CLUSTER_BOX = 50.0  # Å; nothing in a cluster sees an image, and LAMMPS loses no atom
TYPES = {"O": (1, 15.999), "H": (2, 1.008)}  # LAMMPS's atom types and masses


@dataclass(frozen=True)
class System:
    """Atoms of a periodic, rectangular cell, and how often it is repeated.

    Attributes
    ----------
    symbols : [cell atoms]
        chemical symbols
    positions : float64 [cell atoms, 3]
        Å; molecules are whole, so atoms may lie outside the cell
    lengths : float64 [3]
        edges of the cell, Å
    copies
        of the cell along x, y, z; copy (a, b, c) holds atoms ((a * copies y + b) * copies z + c) * cell atoms and on
    """

    symbols: tuple[str, ...]
    positions: np.ndarray
    lengths: np.ndarray
    copies: tuple[int, int, int] = (1, 1, 1)

    @property
    def num_atoms(self) -> int:
        return len(self.symbols) * int(np.prod(self.copies))

    def places(self) -> np.ndarray:
        """Which copy, int64 [copies, 3]."""
        return np.stack(np.meshgrid(*map(np.arange, self.copies), indexing="ij"), axis=-1).reshape(-1, 3)

    def all_positions(self) -> np.ndarray:
        """float64 [atoms, 3]"""
        return ((self.places() * self.lengths)[:, None] + self.positions).reshape(-1, 3)

    def edges(self, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """center, neighbor int64 [edges], offset float64 [edges, 3]: r_ij = r_neighbor + offset - r_center.

        A search in one cell serves all copies: a neighbor s cells away from a copy's own is in the copy s further on.
        """
        found = find_edges(self.positions, np.diag(self.lengths), True, cutoff)
        places, copies, atoms = self.places(), np.array(self.copies), len(self.symbols)
        beyond = places[:, None] + found.shift
        inside = beyond % copies
        copy = (inside[..., 0] * copies[1] + inside[..., 1]) * copies[2] + inside[..., 2]
        center = np.arange(len(places))[:, None] * atoms + found.center
        offset = (beyond - inside) * self.lengths
        return center.ravel(), (copy * atoms + found.neighbor).ravel(), offset.reshape(-1, 3)

    def write_data(self, path: Path) -> None:
        """One cell as a data file of LAMMPS; its command ``replicate`` makes the copies."""
        lines = ["a cell of the benchmark (type 1 O, 2 H)", "", f"{len(self.symbols)} atoms", "2 atom types", ""]
        lines += [f"0 {float(length)!r} {x}lo {x}hi" for length, x in zip(self.lengths, "xyz", strict=True)]
        lines += ["", "Masses", "", *(f"{kind} {mass}" for kind, mass in TYPES.values()), "", "Atoms # atomic", ""]
        for i, (symbol, (x, y, z)) in enumerate(zip(self.symbols, self.positions.tolist(), strict=True)):
            lines.append(f"{i + 1} {TYPES[symbol][0]} {x!r} {y!r} {z!r}")
        path.write_text("\n".join(lines) + "\n")


def make_system(atoms: int, water: str | os.PathLike[str]) -> System:
    """The system of so many atoms; ``water`` is the data file of the cell (type 1 O, 2 H)."""
    doublings = (max(atoms, 1) // CELL_ATOMS).bit_length() - 1
    if atoms not in MOLECULES and (doublings < 0 or atoms != CELL_ATOMS << doublings):
        raise ValueError(
            f"sizes: expected {', '.join(map(str, MOLECULES))} atoms (molecules) or {CELL_ATOMS} times a power of two "
            f"(boxes of water), found {atoms}"
        )
    molecules, lengths = read_molecules(Path(water))
    if atoms in MOLECULES:
        return make_cluster(molecules, lengths, *MOLECULES[atoms])
    x, y, z = (1 << (doublings + 2 - axis) // 3 for axis in range(3))
    return System(("O", "H", "H") * len(molecules), molecules.reshape(-1, 3), lengths, (x, y, z))


def make_cluster(molecules: np.ndarray, lengths: np.ndarray, whole: int, radicals: int) -> System:
    """The molecules nearest to the first one; the outermost ``radicals`` of them lose a hydrogen atom."""
    away = molecules[:, 0] - molecules[0, 0]
    nearest = np.round(away / lengths) * lengths
    order = np.argsort(np.linalg.norm(away - nearest, axis=1))[: whole + radicals]
    positions = (molecules - nearest[:, None])[order].reshape(-1, 3)
    index = np.arange(len(positions))
    kept = index[(index < 3 * whole) | (index % 3 != 2)]
    symbols = tuple("OHH"[i % 3] for i in kept)
    box = np.full(3, CLUSTER_BOX)
    return System(symbols, positions[kept] - positions[kept].mean(axis=0) + box / 2, box)


def read_molecules(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Water of a data file of LAMMPS: molecules [molecules, 3 (O, H, H), 3] that are whole, and the cell's edges."""
    words = [line.split() for line in path.read_text().splitlines()]
    lengths = np.array([float(w[1]) - float(w[0]) for w in words if len(w) == 4 and w[2].endswith("lo")])
    start = next((k for k, w in enumerate(words) if w[:1] == ["Atoms"]), len(words))
    table = np.array([w[:5] for w in words[start + 1 :] if len(w) >= 5], dtype=float).reshape(-1, 5)
    oxygen, hydrogen = table[table[:, 1] == 1, 2:], table[table[:, 1] == 2, 2:]
    if len(table) != CELL_ATOMS or len(hydrogen) != 2 * len(oxygen) or len(lengths) != 3:
        raise ValueError(
            f"{path}: expected a data file of LAMMPS with {CELL_ATOMS} atoms of water (type 1 O, 2 H), found "
            f"{len(table)} atoms, {len(oxygen)} of type 1. Give the one of examples/water with --water."
        )
    bond = hydrogen[None] - oxygen[:, None]
    bond -= np.round(bond / lengths) * lengths
    pairs = np.sort(np.argsort(np.linalg.norm(bond, axis=2), axis=1)[:, :2], axis=1)
    if len(np.unique(pairs)) != len(hydrogen):
        raise ValueError(f"{path}: expected two hydrogen atoms nearest to each oxygen atom, found some shared")
    own = np.take_along_axis(bond, pairs[:, :, None], axis=1)
    return np.concatenate([oxygen[:, None], oxygen[:, None] + own], axis=1), lengths
