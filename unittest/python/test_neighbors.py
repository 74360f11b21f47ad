"""Edges: the same for every installed method, and those of a search by definition."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator

import numpy as np
import pytest
from mlff import neighbors
from mlff.neighbors import METHODS, choose_method, find_edges, import_failure

# not a skip: which methods exist depends on the machine, and brute (NumPy) always does
INSTALLED = [name for name, module in METHODS.items() if import_failure(module) is None]

CUBIC = 9.0 * np.eye(3)
SLANTED = np.array([[8.0, 0.3, 0], [4.2, 7.5, 0.2], [-3.1, 2.9, 9.0]])
TINY = np.array([[2.3, 0, 0], [0.9, 2.1, 0], [0.4, -0.8, 2.6]])  # several images of an atom in its own sphere
LEFT_HANDED = SLANTED[[1, 0, 2]]
FLAT = np.array([[20.0, 0, 0], [0, 1.7, 0], [19.0, 1.0, 2.2]])  # thinner than the cutoff between its faces
CASES = [
    pytest.param(CUBIC, (True, True, True), 40, id="cubic"),
    pytest.param(SLANTED, (True, True, True), 40, id="slanted"),
    pytest.param(LEFT_HANDED, (True, True, True), 40, id="left-handed"),
    pytest.param(TINY, (True, True, True), 2, id="tiny"),
    pytest.param(2.2 * np.eye(3), (True, True, True), 1, id="one-atom-tiny"),
    pytest.param(FLAT, (True, True, True), 5, id="flat"),
    pytest.param(CUBIC, (False, False, False), 40, id="non-periodic"),
    pytest.param(SLANTED, (True, False, True), 40, id="slanted-slab"),
    pytest.param(SLANTED, (False, False, True), 40, id="slanted-wire"),
]
CUTOFF = 4.0


@pytest.fixture(autouse=True)
def fresh_choice() -> Iterator[None]:
    """Choices are remembered, and so logged once; each test begins without."""
    choose_method.cache_clear()
    yield
    choose_method.cache_clear()


def by_definition(cell: np.ndarray, pbc: tuple[bool, ...], x: np.ndarray) -> np.ndarray:
    """Rows (center, neighbor, shift, rij), sorted; loops over all images that could reach, atoms where they are."""
    spread = x @ np.linalg.inv(cell)
    spread = spread.max(axis=0) - spread.min(axis=0)
    reach = [
        int(np.ceil(CUTOFF * np.linalg.norm(np.linalg.inv(cell)[:, a]) + spread[a])) if pbc[a] else 0 for a in range(3)
    ]
    rows = []
    for shift in itertools.product(*[range(-n, n + 1) for n in reach]):
        d = x[None] + np.array(shift) @ cell - x[:, None]
        for i, j in zip(*np.nonzero((d**2).sum(2) < CUTOFF**2), strict=True):
            if i != j or any(shift):
                rows.append([i, j, *shift, *d[i, j]])
    table = np.array(rows).reshape(-1, 8)
    return table[np.lexsort(table[:, 4::-1].T)]


def points(cell: np.ndarray, count: int, outside: float) -> np.ndarray:
    """Random atoms, some as many as ``outside`` cells away from the cell."""
    rng = np.random.default_rng(count)
    return (rng.random((count, 3)) + outside * rng.integers(-2, 3, (count, 3))) @ cell


@pytest.mark.parametrize("method", INSTALLED)
@pytest.mark.parametrize("outside", [0.0, 1.0], ids=["inside", "outside"])
@pytest.mark.parametrize(("cell", "pbc", "count"), CASES)
def test_edges_are_those_of_the_definition(
    cell: np.ndarray, pbc: tuple[bool, ...], count: int, outside: float, method: str
) -> None:
    if not any(pbc):
        outside = 0.1 * outside  # without periodicity a point set ten cells wide has no edges
    x = points(cell, count, outside)
    expected = by_definition(cell, pbc, x)
    edges = find_edges(x, cell, pbc, CUTOFF, method)
    assert len(expected) > 0
    np.testing.assert_array_equal(edges.center, expected[:, 0])
    np.testing.assert_array_equal(edges.neighbor, expected[:, 1])
    np.testing.assert_array_equal(edges.shift, expected[:, 2:5])
    # coordinates up to some 60 Å are wrapped and subtracted: a few roundings of 7e-15
    np.testing.assert_allclose(edges.rij, expected[:, 5:], rtol=0, atol=1e-13)
    assert (np.linalg.norm(edges.rij, axis=1) < CUTOFF).all()


@pytest.mark.parametrize("method", INSTALLED)
@pytest.mark.parametrize(("cell", "pbc", "count"), CASES)
def test_both_directions_are_there(cell: np.ndarray, pbc: tuple[bool, ...], count: int, method: str) -> None:
    edges = find_edges(points(cell, count, 0.0), cell, pbc, CUTOFF, method)
    there = set(zip(edges.center.tolist(), edges.neighbor.tolist(), map(tuple, edges.shift.tolist()), strict=True))
    back = {(j, i, tuple(-s for s in shift)) for i, j, shift in there}
    assert there == back and len(there) == len(edges.center)


@pytest.mark.parametrize("method", INSTALLED)
def test_methods_are_equal_to_the_last_bit(method: str) -> None:
    x = points(SLANTED, 40, 1.0)
    edges, brute = (find_edges(x, SLANTED, True, CUTOFF, name) for name in (method, "brute"))
    for name in ("center", "neighbor", "rij", "shift"):
        np.testing.assert_array_equal(getattr(edges, name), getattr(brute, name))


@pytest.mark.parametrize("method", INSTALLED)
def test_cutoff_is_strict(method: str) -> None:
    """A neighbor at the cutoff exactly is no edge; one a rounding error nearer is."""
    for distance, count in ((CUTOFF, 0), (np.nextafter(CUTOFF, 0.0), 2)):
        x = np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]])
        assert len(find_edges(x, None, False, CUTOFF, method).center) == count


@pytest.mark.parametrize("method", INSTALLED)
@pytest.mark.parametrize("cell", [None, np.zeros((3, 3)), 0.5 * np.eye(3)], ids=["none", "zero", "small"])
def test_cell_plays_no_part_without_periodicity(cell: np.ndarray | None, method: str) -> None:
    x = points(CUBIC, 30, 0.0) - 40.0
    edges, reference = find_edges(x, cell, False, CUTOFF, method), by_definition(CUBIC, (False,) * 3, x)
    np.testing.assert_array_equal(np.column_stack([edges.center, edges.neighbor]), reference[:, :2])
    assert not edges.shift.any()


@pytest.mark.parametrize("method", INSTALLED)
def test_slab_without_third_lattice_vector(method: str) -> None:
    x = points(SLANTED, 30, 0.0)
    slab = SLANTED * [[1], [1], [0]]
    edges, reference = find_edges(x, slab, (True, True, False), CUTOFF, method), by_definition(SLANTED, (1, 1, 0), x)
    np.testing.assert_array_equal(edges.shift, reference[:, 2:5])


@pytest.mark.parametrize("method", INSTALLED)
@pytest.mark.parametrize("count", [0, 1])
def test_no_edges(method: str, count: int) -> None:
    edges = find_edges(np.ones((count, 3)), CUBIC, True, CUTOFF, method)
    assert [a.shape for a in (edges.center, edges.neighbor, edges.rij, edges.shift)] == [(0,), (0,), (0, 3), (0, 3)]


def test_brute_force_in_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x = points(CUBIC, 40, 0.0)
    whole = find_edges(x, CUBIC, True, CUTOFF, "brute")
    monkeypatch.setattr(neighbors, "PAIRS_AT_ONCE", 3000)
    pieces = find_edges(x, CUBIC, True, CUTOFF, "brute")
    np.testing.assert_array_equal(whole.rij, pieces.rij)


@pytest.mark.parametrize(
    ("missing", "chosen"),
    [
        ((), "matscipy"),
        (("matscipy",), "torch_cluster"),
        (("torch_cluster",), "matscipy"),
        (("matscipy", "torch_cluster"), "brute"),
    ],
)
def test_order_of_fallback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, missing: tuple[str, ...], chosen: str
) -> None:
    lacking = [METHODS[name] for name in missing]
    monkeypatch.setattr(neighbors, "import_failure", lambda module: "not there" if module in lacking else None)
    with caplog.at_level(logging.INFO, logger="mlff"):
        assert [choose_method("auto"), choose_method("auto")] == [chosen, chosen]
    assert len(caplog.records) == 1, "the choice is logged once"
    assert f"neighbor search: {chosen}, chosen automatically" in caplog.text
    before = list(METHODS)[: list(METHODS).index(chosen)]
    assert [name for name in METHODS if f"{name}: not there" in caplog.text] == before


def test_choice_of_a_search_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mlff"):
        for _ in range(3):
            find_edges(np.eye(3), None, False, CUTOFF)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"neighbor search: {INSTALLED[0]}, chosen automatically")


@pytest.mark.parametrize("method", ["matscipy", "torch_cluster"])
def test_absent_method(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(neighbors, "import_failure", lambda module: "No module named 'x'")
    with pytest.raises(
        ImportError, match=re.escape(f"Install it with 'pip install {method}', or use neighbors='auto'")
    ):
        find_edges(np.eye(3), None, False, CUTOFF, method)


def test_import_failure_is_real() -> None:
    assert import_failure("numpy") is None
    assert "no_such_module_anywhere" in str(import_failure("no_such_module_anywhere"))


def test_sentences_for_wrong_input() -> None:
    with pytest.raises(ValueError, match="expected auto, matscipy, torch_cluster, brute, found 'kdtree'"):
        find_edges(np.eye(3), None, False, CUTOFF, "kdtree")
    with pytest.raises(
        ValueError, match=r"expected independent lattice vectors .*\[True, True, True\], found \[\[0.0,"
    ):
        find_edges(np.eye(3), np.zeros((3, 3)), True, CUTOFF)
    with pytest.raises(ValueError, match="expected independent lattice vectors"):
        find_edges(np.eye(3), np.array([[1.0, 0, 0], [2.0, 0, 0], [0, 0, 1.0]]), True, CUTOFF)
    with pytest.raises(ValueError, match=r"expected finite numbers, found \[nan, 0.0, 0.0\] for atom 1"):
        find_edges(np.array([[0.0, 0, 0], [np.nan, 0, 0]]), None, False, CUTOFF)
    for method in INSTALLED:
        with pytest.raises(ValueError, match="found atoms 0 and 1 at the same place"):
            find_edges(np.zeros((2, 3)), None, False, CUTOFF, method)
