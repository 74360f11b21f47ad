"""The edges that an engine receives equal a brute-force search over images and matscipy's list, for every cell."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lammps_run import Lammps, write_data
from matscipy.neighbours import neighbour_list

STUDENT = Path(__file__).parent.parent / "reference" / "painn-t3-v1.pt"
CUTOFF = 4.0

CUBIC = 11.0 * np.eye(3)
SLANTED = np.array([[9.0, 0, 0], [4.2, 8.5, 0], [-3.1, 2.9, 10.0]])
TINY = np.array([[2.3, 0, 0], [0.9, 2.1, 0], [0.4, -0.8, 2.6]])  # several images of an atom in its own sphere
CELLS = [
    pytest.param(CUBIC, "ppp", 60, id="cubic"),
    pytest.param(SLANTED, "ppp", 50, id="slanted"),
    pytest.param(TINY, "ppp", 2, id="tiny"),
    pytest.param(2.2 * np.eye(3), "ppp", 1, id="one-atom-tiny"),
    pytest.param(CUBIC, "fff", 60, id="non-periodic"),
    pytest.param(CUBIC, "pfp", 60, id="mixed"),
    pytest.param(SLANTED, "ppf", 50, id="slanted-slab"),
]


def lammps_edges(lammps: Lammps, folder: Path, cell: np.ndarray, boundary: str, x: np.ndarray) -> np.ndarray:
    """Rows (center, neighbor, dx, dy, dz) as the engine gets them, with atoms numbered as in `x`."""
    write_data(folder / "data.test", cell, np.ones(len(x), int), x, [12.0])
    script = f"""
    units metal
    boundary {" ".join(boundary)}
    read_data data.test
    pair_style mlff/edges check off
    pair_coeff * * {STUDENT} C
    neighbor 0.9 bin
    dump 1 all custom 1 dump.txt id x y z
    run 0
    """
    with_edges_plugin = replace(lammps, plugin_dir=f"{lammps.plugin_dir}:{lammps.test_plugin_dir}")
    with_edges_plugin.run(folder, script)
    order = [int(line.split()[0]) - 1 for line in (folder / "dump.txt").read_text().splitlines()[9:]]
    table = np.loadtxt(folder / "edges.txt", ndmin=2).reshape(-1, 6)
    atoms = np.array(order)
    return np.column_stack([atoms[table[:, 0].astype(int)], atoms[table[:, 1].astype(int)], table[:, 3:]])


def brute_force(cell: np.ndarray, boundary: str, x: np.ndarray) -> np.ndarray:
    reach = [
        int(np.ceil(CUTOFF * np.linalg.norm(np.linalg.inv(cell)[:, a]))) + 1 if boundary[a] == "p" else 0
        for a in range(3)
    ]
    rows = []
    for shift in itertools.product(*[range(-n, n + 1) for n in reach]):
        d = x[None] + np.array(shift) @ cell - x[:, None]
        for i, j in zip(*np.nonzero((d**2).sum(2) < CUTOFF**2), strict=True):
            if i != j or any(shift):
                rows.append([i, j, *d[i, j]])
    return np.array(rows).reshape(-1, 5)


def sorted_rows(edges: np.ndarray) -> np.ndarray:
    return edges[np.lexsort(np.round(edges, 6).T[::-1])]


@pytest.mark.parametrize(("cell", "boundary", "count"), CELLS)
def test_equal_brute_force_and_matscipy(
    lammps: Lammps, tmp_path: Path, cell: np.ndarray, boundary: str, count: int
) -> None:
    x = np.random.default_rng(count).random((count, 3)) @ cell
    ours = lammps_edges(lammps, tmp_path, cell, boundary, x)
    expected = brute_force(cell, boundary, x)
    assert len(expected) > 0
    i, j, d = neighbour_list("ijD", positions=x, cell=cell, pbc=[b == "p" for b in boundary], cutoff=CUTOFF)
    for other in (expected, np.column_stack([i, j, d])):
        assert len(ours) == len(other)
        # positions travel through a text file with all digits and through LAMMPS's wrapping: rounding only
        assert np.abs(sorted_rows(ours) - sorted_rows(other)).max() < 1e-12
    assert (np.linalg.norm(ours[:, 2:], axis=1) < CUTOFF).all()


def test_cutoff_is_strict(lammps: Lammps, tmp_path: Path) -> None:
    """A neighbor at the cutoff exactly is no edge; one a rounding error nearer is."""
    for distance, edges in ((CUTOFF, 0), (np.nextafter(CUTOFF, 0.0), 2)):
        x = np.array([[0.0, 5.0, 5.0], [distance, 5.0, 5.0]])
        assert len(lammps_edges(lammps, tmp_path / str(edges), CUBIC, "fff", x)) == edges
