"""Edges by every installed method equal an independent brute force, for every kind of cell."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest
from mlff import neighbors
from mlff.neighbors import METHODS, find_edges, installed_methods

CUTOFF = 4.0
SLANTED = np.array([[9.0, 0, 0], [4.2, 8.5, 0], [-3.1, 2.9, 10.0]])
CASES = {
    "cubic": (11.0 * np.eye(3), True, 50, 0.0),
    "slanted": (SLANTED, True, 40, 0.0),
    "left-handed": (SLANTED[::-1], True, 40, 0.0),
    "tiny": (np.array([[2.3, 0, 0], [0.9, 2.1, 0], [0.4, -0.8, 2.6]]), True, 2, 0.0),
    "one atom, own images": (2.2 * np.eye(3), True, 1, 0.0),
    "non-periodic": (11.0 * np.eye(3), False, 50, 0.0),
    "no cell": (np.zeros((3, 3)), False, 50, 0.0),
    "mixed": (11.0 * np.eye(3), (True, False, True), 50, 0.0),
    "slab with no third vector": (np.diag([8.0, 9.0, 0.0]), (True, True, False), 40, 0.0),
    "atoms outside the cell": (SLANTED, True, 40, 3.0),
    "atoms outside a mixed cell": (SLANTED, (False, True, False), 40, 3.0),
}


def system(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cell, pbc, count, spread = CASES[name]
    rng = np.random.default_rng(len(name))
    span = cell if cell.any(1).all() else cell + np.diag(np.where(cell.any(1), 0.0, 9.0))
    x = (rng.random((count, 3)) + spread * (rng.random((count, 3)) - 0.5)) @ span
    return x, cell, np.broadcast_to(pbc, 3)


def brute_force(x: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> set[tuple[int, ...]]:
    """(center, neighbor, shift) of all edges, with more images than can matter."""
    reach = [range(-12, 13) if periodic and len(x) < 3 else range(-4, 5) if periodic else range(1) for periodic in pbc]
    found = set()
    for shift in itertools.product(*reach):
        d = np.linalg.norm(x[None] + np.array(shift) @ cell - x[:, None], axis=2)
        pairs = zip(*np.nonzero(d < CUTOFF), strict=True)
        found |= {(int(i), int(j), *shift) for i, j in pairs if i != j or any(shift)}
    return found


@pytest.mark.parametrize("method", installed_methods())
@pytest.mark.parametrize("name", CASES)
def test_edges_equal_brute_force(name: str, method: str) -> None:
    x, cell, pbc = system(name)
    edges = find_edges(x, cell, pbc, CUTOFF, method)
    ours = list(zip(edges.center, edges.neighbor, *edges.shift.T, strict=True))
    assert len(set(ours)) == len(ours)
    assert set(ours) == brute_force(x, cell, pbc)
    assert ours == sorted(ours), "expected edges sorted by center, neighbor and image"
    assert np.array_equal(
        edges.rij, x[edges.neighbor] + edges.shift @ np.where(pbc[:, None], cell, 0) - x[edges.center]
    )
    assert (np.linalg.norm(edges.rij, axis=1) < CUTOFF).all()


@pytest.mark.parametrize("method", installed_methods())
def test_cutoff_is_strict(method: str) -> None:
    for distance, count in ((CUTOFF, 0), (np.nextafter(CUTOFF, 0), 2)):
        assert len(find_edges(np.array([[0, 0, 0], [distance, 0, 0]]), None, False, CUTOFF, method).center) == count


def test_no_atoms_and_one_atom() -> None:
    for x in (np.zeros((0, 3)), np.zeros((1, 3))):
        assert find_edges(x, None, False, CUTOFF).rij.shape == (0, 3)


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        (["matscipy", "torch_cluster", "brute"], "matscipy"),
        (["torch_cluster", "brute"], "torch_cluster"),
        (["brute"], "brute"),
    ],
)
def test_auto_takes_the_first_that_is_installed_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, installed: list[str], chosen: str
) -> None:
    monkeypatch.setattr(neighbors, "installed_methods", lambda: installed)
    monkeypatch.setattr(neighbors, "_announced", set())
    monkeypatch.setattr(neighbors, "_SEARCH", dict.fromkeys(METHODS, neighbors._brute))
    with caplog.at_level(logging.INFO, logger="mlff"):
        for _ in range(2):
            find_edges(np.zeros((1, 3)), None, False, CUTOFF)
    assert [record.message for record in caplog.records] == [f"neighbor search by {chosen}"]


def test_absent_and_unknown_methods_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "installed_methods", lambda: ["brute"])
    with pytest.raises(ImportError, match="expected matscipy .* not installed: pip install matscipy"):
        find_edges(np.zeros((1, 3)), None, False, CUTOFF, "matscipy")
    with pytest.raises(ValueError, match="expected neighbors auto, matscipy.* found 'kdtree'"):
        find_edges(np.zeros((1, 3)), None, False, CUTOFF, "kdtree")
