"""Students that are not ours in LAMMPS: a module of which only ``forward(element, center, neighbor, rij)`` is known.

Forces equal those of the same file in Python. Several ranks keep a wide halo, so 1 = 2 = 4 ranks over 200 steps, in
which lists are rebuilt and atoms migrate, with newton on and off. Slabs of four ranks are little wider than a cutoff.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from lammps_run import Lammps, Run, force_difference, read_thermo, scattered_points, vectors, write_data
from mlff.calculator import MLFFCalculator
from mlff.wrap import load_module, wrap

EXAMPLE = Path(__file__).parents[2] / "examples" / "bring-your-own"
CUTOFF, NUM_INTERACTIONS, SKIN = 4.0, 2, 0.3  # of both
BOX = np.array([18.0, 8.8, 9.1])
# Rounding (1e-16) of sums of some tens of terms, which autograd takes in another order where nodes have other numbers,
# and the growth of a trajectory besides
TOLERANCE = {0: 1e-12, 200: 1e-10}

SCRIPT = """
newton          {newton}
units           metal
atom_style      atomic
comm_style      {style}
{processors}
read_data       data.test
{balance}
pair_style      mlff precision fp64 {keywords}
pair_coeff      * * {student} O H
neighbor        {skin} bin
neigh_modify    every 1 delay 0 check yes
velocity        all create 300 4711 loop geom
fix             1 all nve
timestep        0.0005
thermo          20
compute         virial all pressure NULL virial
thermo_style    custom step pe press c_virial[*]
thermo_modify   format float %.16g
dump            1 all custom 200 dump.txt id type x y z fx fy fz
dump_modify     1 format float %.16g
run             {steps}
"""


@contextlib.contextmanager
def bare_schnetpack() -> Iterator[None]:
    """The package without what stands in its __init__, which imports the libraries of its training."""
    spec = importlib.util.find_spec("schnetpack")
    assert spec is not None and spec.submodule_search_locations
    bare = types.ModuleType("schnetpack")
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules["schnetpack"] = bare
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "schnetpack"]:
        del sys.modules[name]


# left out where it is not installed; tools/run-tests installs it
NAMES = ["invariant", *(["painn_schnetpack"] if importlib.util.find_spec("schnetpack") else [])]


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("students")
    paths = {name: folder / f"{name}.pt" for name in NAMES}
    for name, path in paths.items():
        with bare_schnetpack() if "schnetpack" in name else contextlib.nullcontext():
            module = load_module(f"{EXAMPLE / name}.py:model")
            wrap(module, ["O", "H"], CUTOFF, NUM_INTERACTIONS, path, reference_energies=[-430.0, -13.6])
    return paths


@pytest.fixture(scope="module")
def invariant(students: dict[str, Path]) -> Path:
    return students["invariant"]


def run(
    lammps: Lammps,
    folder: Path,
    student: Path,
    ranks: int = 1,
    newton: str = "on",
    style: str = "brick",
    keywords: str = "",
    steps: int = 200,
    skin: float = SKIN,
    fails: bool = False,
) -> Run:
    rng = np.random.default_rng(11)
    positions = scattered_points(rng, 40, np.zeros(3), np.array([12.5, 8.1, 8.4]), 1.55)
    write_data(folder / "data.test", np.diag(BOX), rng.integers(1, 3, len(positions)), positions, [15.999, 1.008])
    script = SCRIPT.format(
        newton=lammps.newton(newton),
        style=style,
        processors="" if style == "tiled" else f"processors {ranks} 1 1",
        balance="balance 1.0 rcb" if style == "tiled" else "",
        keywords=keywords,
        student=student,
        skin=skin,
        steps=steps,
    )
    return lammps.run(folder, script, ranks, fails)


@pytest.fixture(scope="module")
def one_rank(lammps: Lammps, students: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    return {name: run(lammps, tmp_path_factory.mktemp(name), path) for name, path in students.items()}


@pytest.mark.parametrize("name", NAMES)
def test_equals_python(one_rank: dict[str, Run], students: dict[str, Path], name: str) -> None:
    """Positions of the first and last step through ASE."""
    found = one_rank[name]
    for step in (0, 200):
        frame = found.dump[step]
        symbols = np.array(["O", "H"])[frame["type"].astype(int) - 1]
        atoms = Atoms(symbols, vectors(frame, ""), cell=BOX, pbc=True)
        atoms.calc = MLFFCalculator(students[name], precision="fp64", neighbors="brute")
        # positions have 16 digits in the dump; a second derivative of some 10 eV/A^2 makes 1e-13 eV/A of that
        assert force_difference(vectors(frame, "f"), atoms.get_forces()) < 1e-10
        row = list(found.thermo["Step"]).index(step)
        assert found.thermo["PotEng"][row] == pytest.approx(atoms.get_potential_energy(), rel=1e-13)
        virial = -atoms.get_stress()[[0, 1, 2, 5, 4, 3]] * 1.6021765e6  # bar, as LAMMPS has it in units metal
        printed = np.array([found.thermo[f"c_virial[{k}]"][row] for k in range(1, 7)])
        np.testing.assert_allclose(printed, virial, rtol=0, atol=1e-9 * np.abs(virial).max())


CASES = [
    ("invariant", 2, "on", "brick"),
    ("invariant", 2, "off", "tiled"),
    ("invariant", 4, "on", "brick"),
    ("invariant", 4, "off", "brick"),
    ("painn_schnetpack", 2, "off", "brick"),
    ("painn_schnetpack", 4, "on", "brick"),
]


@pytest.mark.parametrize(("name", "ranks", "newton", "style"), [case for case in CASES if case[0] in NAMES])
def test_equals_one_rank(
    lammps: Lammps,
    tmp_path: Path,
    students: dict[str, Path],
    one_rank: dict[str, Run],
    name: str,
    ranks: int,
    newton: str,
    style: str,
) -> None:
    one, many = one_rank[name], run(lammps, tmp_path, students[name], ranks, newton, style)
    for step, tolerance in TOLERANCE.items():
        assert force_difference(vectors(many.dump[step], "f"), vectors(one.dump[step], "f")) < tolerance
    scale = np.abs(one.thermo["Press"]).max()
    for column in ("Press", *(f"c_virial[{k}]" for k in range(1, 7))):
        assert np.abs(many.thermo[column] - one.thermo[column]).max() < TOLERANCE[200] * scale
    np.testing.assert_allclose(many.thermo["PotEng"], one.thermo["PotEng"], rtol=1e-12)
    # it was a test of what it says
    assert many.number(r"Neighbor list builds = (\d+)") >= 3
    slab = [np.floor(one.dump[step]["x"] * ranks / BOX[0]) for step in (0, 200)]
    assert np.count_nonzero(slab[0] != slab[1]) >= 1
    width = NUM_INTERACTIONS * CUTOFF + SKIN
    assert many.number(r"ghost atom cutoff = ([\d.]+)") == pytest.approx(width)
    assert many.number(r"exchanges per call: .*?([\d.]+) forward") == 0


def test_the_log_says_what_runs(lammps: Lammps, one_rank: dict[str, Run], tmp_path: Path, invariant: Path) -> None:
    log = one_rank["invariant"].log
    assert re.search(
        r"^  network +a module of kind custom, \d+ parameters, an energy depends on atoms up to 2 edges away, cutoff 4 "
        r"Angstrom$",
        log,
        re.M,
    )
    assert re.search(r"^  engine +LibTorch .*, precision fp64, jit freeze, ", log, re.M)
    assert re.search(r"^  ghosts +images mapped to their owners", log, re.M)
    assert re.search(r"^  check +energy \S+ meV/atom", log, re.M)
    many = run(lammps, tmp_path, invariant, 2, steps=0)
    assert re.search(r"^  ghosts +wide halo of 8.3\d*, no exchange of rows", many.log, re.M)


@pytest.mark.parametrize("jit", ["off", "script", "freeze"])
def test_every_way_in_single_precision(lammps: Lammps, tmp_path: Path, invariant: Path, jit: str) -> None:
    """The check of the run itself compares with fp64."""
    found = run(lammps, tmp_path, invariant, keywords=f"precision fp32 jit {jit}", steps=0)
    assert 0.0 < found.number(r"check +energy .*\((\S+) of rms\)") < 1e-4


def test_refused_with_tiles_in_a_box_shorter_than_the_halo(lammps: Lammps, tmp_path: Path, invariant: Path) -> None:
    """LAMMPS itself stops there, later, with a sentence that does not say what to do."""
    stopped = run(lammps, tmp_path, invariant, 2, style="tiled", skin=1.0, fails=True)
    text = " ".join(stopped.log.split())
    assert re.search(
        r"box lengths of at least 9.0*, the width of the wide halo .* 'comm_style tiled', found 8\.8", text
    )
    assert "Use 'comm_style brick'" in text


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ("jit aot", "found 'jit aot', which is for the built-in network alone. Use 'jit freeze'."),
        ("chunk 100", "found 'chunk 100': of such a module only the whole is known"),
        ("precision bf16", "which are fp64 fp32, found 'precision bf16'"),
        ("ghosts exchange", "found 'ghosts exchange'"),
    ],
)
def test_refused_by_name(lammps: Lammps, tmp_path: Path, invariant: Path, keywords: str, words: str) -> None:
    text = " ".join(run(lammps, tmp_path, invariant, keywords=keywords, fails=True).log.split())
    assert "of kind custom" in text
    assert words in text


def test_the_example_gives_the_lines_of_its_log(lammps: Lammps, tmp_path: Path) -> None:
    (tmp_path / "invariant.pt").symlink_to(EXAMPLE / "invariant.pt")
    found = lammps.run(tmp_path, (EXAMPLE / "in.own").read_text(), 2, arguments=("-var", "steps", "60"))
    expected = read_thermo((EXAMPLE / "log.expected").read_text())
    assert list(found.thermo["Step"]) == list(expected["Step"][:4])
    for column in ("Temp", "PotEng", "TotEng"):
        # eight decimals; rounding grows little in 30 fs
        assert np.abs(found.thermo[column] - expected[column][:4]).max() < 1e-6, column
    # kinetic and potential energy exchange 3.5 eV meanwhile
    assert np.ptp(found.thermo["TotEng"]) < 0.005


class Picky(torch.nn.Module):
    """Fails where a rank sees more atoms than the others."""

    def forward(
        self, element: torch.Tensor, center: torch.Tensor, neighbor: torch.Tensor, rij: torch.Tensor
    ) -> torch.Tensor:
        if element.size(0) > 300:
            raise RuntimeError("no more than 300 atoms, please")
        d = torch.sqrt((rij * rij).sum(1))
        return torch.zeros([element.size(0)], dtype=rij.dtype).index_add(0, center, (4.0 - d) ** 3)


def test_an_error_of_the_module_on_one_rank_stops_all(lammps: Lammps, tmp_path: Path) -> None:
    wrap(Picky(), ["O", "H"], CUTOFF, NUM_INTERACTIONS, tmp_path / "picky.pt")
    text = " ".join(run(lammps, tmp_path, tmp_path / "picky.pt", 3, fails=True).log.split())
    assert "picky.pt: the student's module failed: no more than 300 atoms, please" in text
