"""Monte Carlo: every trial's energy is that of a brute-force evaluation, and no trial has a backward pass.

The fixes' random numbers are drawn a second time here, so that each trial configuration is known: the ASE calculator
evaluates it from its atoms alone. The energies of LAMMPS are those of the test-only `pair_style mlff/requests`, which
writes what each of its evaluations was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from lammps_run import Lammps, Run, scattered_points, write_data
from mlff.calculator import MLFFCalculator
from mlff.wrap import wrap

BOX = np.array([11.0, 9.3, 9.0])
MASSES = [1.008, 15.999]
NUM_ATOMS = 24
TEMPERATURE = 3000.0  # so that some trials are taken and some refused
BOLTZMANN, PLANCK, MV2_TO_EV = 8.617343e-5, 4.135667403e-3, 1.0364269e-4  # LAMMPS's own in metal units
# An energy is a sum of some 25 atoms of 1 to 2 eV; each carries the rounding (1e-16) of sums over 50 neighbors times 16
# channels. Positions differ in the last bit where an atom crossed the border.
TOLERANCE = 1e-10


class RanPark:
    """LAMMPS's own generator, see random_park.cpp."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def uniform(self) -> float:
        k = self.seed // 127773
        self.seed = 16807 * (self.seed - k * 127773) - 2836 * k
        self.seed += 2147483647 * (self.seed < 0)
        return self.seed * (1.0 / 2147483647)

    def index(self, size: int) -> int:
        return int(size * self.uniform())

    def place(self) -> np.ndarray:
        return np.array([self.uniform() for _ in range(3)]) * BOX

    def in_ball(self, dimension: int = 3) -> np.ndarray:
        while True:
            point = np.array([2.0 * self.uniform() - 1.0 for _ in range(dimension)])
            if (point**2).sum() <= 1.0:
                return point

    def skip_velocity(self) -> None:
        """Four numbers of a normal distribution, which come in pairs from points of a disk."""
        for _ in range(2):
            self.in_ball(2)


class System:
    """Atoms by tag, and their energies by the ASE calculator."""

    def __init__(self, student: Path) -> None:
        rng = np.random.default_rng(12)
        self.x = dict(enumerate(scattered_points(rng, NUM_ATOMS, np.zeros(3), BOX - 0.5, 1.6), 1))
        self.kinds = dict(enumerate(rng.integers(1, 3, NUM_ATOMS).tolist(), 1))
        self.calculator = MLFFCalculator(student, precision="fp64")

    def write(self, folder: Path) -> None:
        write_data(folder / "data.test", np.diag(BOX), np.array(list(self.kinds.values())), self.positions(), MASSES)

    def positions(self) -> np.ndarray:
        return np.array(list(self.x.values()))

    def energy(self) -> float:
        symbols = ["HO"[kind - 1] for kind in self.kinds.values()]
        atoms = Atoms(symbols, self.positions(), cell=BOX, pbc=True)
        atoms.calc = self.calculator
        return atoms.get_potential_energy()

    def energies_with_one_more(self, insertions: int, seed: int) -> np.ndarray:
        """Of the trials of fix widom: a hydrogen atom at random places, one at a time."""
        random, energies = RanPark(seed), []
        for _ in range(insertions):
            tag = self.add(1, random.place())
            energies.append(self.energy())
            self.remove(tag)
        return np.array(energies)

    def tags(self, kind: int, ranks: int) -> list[int]:
        """Of one type, as a fix lists them: rank by rank, by tag on each."""
        slabs = {tag: int((x[0] % BOX[0]) * ranks / BOX[0]) for tag, x in self.x.items()}
        return sorted((tag for tag in self.kinds if self.kinds[tag] == kind), key=lambda tag: (slabs[tag], tag))

    def add(self, kind: int, x: np.ndarray) -> int:
        tag = max(self.kinds) + 1
        self.kinds[tag], self.x[tag] = kind, x
        return tag

    def remove(self, tag: int) -> tuple[int, np.ndarray]:
        return self.kinds.pop(tag), self.x.pop(tag)


def run(lammps: Lammps, folder: Path, student: Path, fix: str, steps: int, columns: str, ranks: int = 1) -> Run:
    """Atoms stay where they are but for the fix."""
    script = f"""
    units           metal
    atom_modify     sort 0 0.0
    processors      {ranks} 1 1
    read_data       data.test
    group           hydrogen type 1
    pair_style      mlff/requests precision fp64 jit off check off
    pair_coeff      * * {student} H O
    fix             1 {fix}
    thermo          1
    thermo_style    custom step atoms pe {columns}
    thermo_modify   format float %.17g lost ignore
    run             {steps}
    """
    recording = replace(lammps, plugin_dir=f"{lammps.plugin_dir}:{lammps.test_plugin_dir}")
    return recording.run(folder, script, ranks)


def expect_requests(folder: Path, expected: list[tuple[bool, float]], ranks: int = 1) -> None:
    """Of each evaluation: whether it had forces, and the energy of all ranks."""
    found = [np.loadtxt(folder / f"requests.{rank}", ndmin=2) for rank in range(ranks)]
    assert [bool(row[0]) for row in found[0]] == [forces for forces, _ in expected]
    assert all((other[:, 0] == found[0][:, 0]).all() for other in found)
    energies = sum(one[:, 1] for one in found)
    assert energies == pytest.approx(np.array([energy for _, energy in expected]), rel=TOLERANCE)


# ---------------------------------------------------------------------------------------------- fix widom


def test_widom(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    insertions, seed = 12, 4711
    system = System(gentle_student)
    system.write(tmp_path)
    fix = f"all widom 1 {insertions} 1 {seed} {TEMPERATURE}"
    found = run(lammps, tmp_path, gentle_student, fix, 1, "f_1[1] f_1[2] f_1[3]")

    before, trials = system.energy(), system.energies_with_one_more(insertions, seed)
    with_forces = [(True, before)]
    expect_requests(tmp_path, with_forces + [(False, before)] + [(False, e) for e in trials] + with_forces)

    kt = BOLTZMANN * TEMPERATURE
    mean = np.exp(-(trials - before) / kt).mean()
    # a difference of energies of some 50 eV, over kT
    assert found.thermo["f_1[2]"][-1] == pytest.approx(mean, rel=TOLERANCE)
    assert found.thermo["f_1[1]"][-1] == pytest.approx(-kt * math.log(mean), rel=TOLERANCE)
    assert found.thermo["f_1[3]"][-1] == pytest.approx(BOX.prod(), rel=1e-14)


class Undefined(torch.nn.Module):
    """A pair energy that is no number below 0.9 Å, as a network can be where atoms lie on top of one another."""

    def forward(
        self, element: torch.Tensor, center: torch.Tensor, neighbor: torch.Tensor, rij: torch.Tensor
    ) -> torch.Tensor:
        d = torch.sqrt((rij * rij).sum(1))
        pair = torch.sqrt(d - 0.9) * (1.0 - d / 4.0) ** 3
        return torch.zeros(element.shape[0], dtype=rij.dtype, device=rij.device).index_add(0, center, pair)


def test_trials_that_are_no_number_are_refused(lammps: Lammps, tmp_path: Path) -> None:
    """They have no part in an average, and the run goes on."""
    insertions, seed = 40, 4711
    student = tmp_path / "undefined.pt"
    wrap(Undefined(), ["H", "O"], 4.0, 1, student, reference_energies=[-1.0, -2.0])
    system = System(student)
    system.write(tmp_path)
    fix = f"all widom 1 {insertions} 1 {seed} {TEMPERATURE}"
    found = run(lammps, tmp_path, student, fix, 1, "f_1[2]")

    weights = np.exp(-(system.energies_with_one_more(insertions, seed) - system.energy()) / (BOLTZMANN * TEMPERATURE))
    undefined = np.isnan(weights)
    assert 1 < np.count_nonzero(undefined) < insertions
    weights[undefined] = 0.0
    assert found.thermo["f_1[2]"][-1] == pytest.approx(np.mean(weights), rel=TOLERANCE)
    assert np.isfinite(found.thermo["PotEng"]).all()


# ---------------------------------------------------------------------------------------------- fix gcmc

EXCHANGES = 14
CHEMICAL_POTENTIAL = -3.3
DISPLACEMENT = 0.4


def gcmc_step(
    system: System, ranks: int, moves: int, equal: RanPark, unequal: RanPark, taken: set[str]
) -> Iterator[float]:
    """The energy of each evaluation of FixGCMC::pre_exchange; kinds of trials that change the system are `taken`."""
    kt = BOLTZMANN * TEMPERATURE
    wavelength = math.sqrt(PLANCK**2 / (2 * math.pi * MASSES[0] * MV2_TO_EV * kt))
    activity = math.exp(CHEMICAL_POTENTIAL / kt) / wavelength**3 * BOX.prod()

    stored = system.energy()
    yield stored
    cycles = EXCHANGES + moves
    for _ in range(cycles):
        is_move, is_deletion = equal.index(cycles) + 1 <= moves, equal.uniform() < 0.5
        gas = system.tags(1, ranks)
        if is_move:
            trial, weight = "move", 1.0
            tag = gas[equal.index(len(gas))]
            before = system.kinds[tag], system.x[tag]
            system.x[tag] = system.x[tag] + DISPLACEMENT * unequal.in_ball()
        elif is_deletion:
            trial, weight = "deletion", len(gas) / activity
            tag = gas[equal.index(len(gas))]
            before = system.remove(tag)
        else:
            trial, weight = "insertion", activity / (len(gas) + 1)
            tag = system.add(1, equal.place())
            unequal.skip_velocity()
        energy = system.energy()
        yield energy
        if equal.uniform() < weight * math.exp((stored - energy) / kt):
            stored = energy
            taken.add(trial)
        elif trial == "insertion":
            system.remove(tag)
        else:
            system.kinds[tag], system.x[tag] = before


@pytest.mark.parametrize(("ranks", "moves"), [(1, 6), (2, 0)])
def test_gcmc(lammps: Lammps, gentle_student: Path, tmp_path: Path, ranks: int, moves: int) -> None:
    """Moves on one rank alone: each rank draws its own steps."""
    seed, steps = 29494, 2
    system = System(gentle_student)
    system.write(tmp_path)
    fix = f"hydrogen gcmc 1 {EXCHANGES} {moves} 1 {seed} {TEMPERATURE} {CHEMICAL_POTENTIAL} {DISPLACEMENT}"
    found = run(lammps, tmp_path, gentle_student, fix, steps, "f_1[2] f_1[4] f_1[6]", ranks)

    equal, unequal, taken = RanPark(seed), RanPark(seed), set()
    expected, counts = [(True, system.energy())], [NUM_ATOMS]
    for _ in range(steps):
        expected += [(False, energy) for energy in gcmc_step(system, ranks, moves, equal, unequal, taken)]
        expected.append((True, system.energy()))
        counts.append(len(system.x))
    expect_requests(tmp_path, expected, ranks)
    assert found.thermo["Atoms"].tolist() == counts
    assert found.thermo["PotEng"][-1] == pytest.approx(system.energy(), rel=TOLERANCE)
    assert taken == {"deletion", "insertion"} | ({"move"} if moves else set())
    assert found.thermo["f_1[4]"][-1] + found.thermo["f_1[6]"][-1] < EXCHANGES * steps, "some are refused"


WATER = """water

3 atoms

Coords

1 0.0 0.0 0.0
2 0.96 0.0 0.0
3 -0.24 0.93 0.0

Types

1 2
2 1
3 1

Masses

1 15.999
2 1.008
3 1.008
"""


def test_gcmc_of_molecules(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    """LAMMPS takes the atoms of a deleted molecule out of all groups, so its list keeps the edges between them.

    There is room for no more molecules, and the chemical potential lets none go: all trials are refused deletions.
    """
    molecules = 5
    (tmp_path / "water.txt").write_text(WATER)
    script = f"""
    units           metal
    atom_style      molecular
    atom_modify     map array
    region          box block 0 {BOX[0]} 0 {BOX[1]} 0 {BOX[2]}
    create_box      2 box
    mass            1 {MASSES[0]}
    mass            2 {MASSES[1]}
    molecule        water water.txt
    region          middle block 1 {BOX[0] - 1} 1 {BOX[1] - 1} 1 {BOX[2] - 1}
    create_atoms    0 random {molecules} 4711 middle mol water 5252 overlap 1.6 maxtry 100
    write_dump      all custom dump.txt id mol type x y z modify format float %.17g
    pair_style      mlff/requests precision fp64 jit off check off
    pair_coeff      * * {gentle_student} H O
    fix             1 all gcmc 1 12 0 0 53123 300 20.0 0.0 mol water full_energy max {3 * molecules}
    thermo          1
    thermo_style    custom step atoms pe f_1[5] f_1[6]
    thermo_modify   format float %.17g
    run             1
    """
    recording = replace(lammps, plugin_dir=f"{lammps.plugin_dir}:{lammps.test_plugin_dir}")
    found = recording.run(tmp_path, script)

    system = System(gentle_student)
    (frame,) = found.dump.values()
    without = []
    for left_out in range(molecules + 1):  # the last: none
        kept = frame["mol"] != left_out + 1
        system.kinds = dict(enumerate(frame["type"][kept].astype(int).tolist()))
        system.x = dict(enumerate(np.stack([frame[axis][kept] for axis in "xyz"], axis=1)))
        without.append(system.energy())
    requests = np.loadtxt(tmp_path / "requests.0")
    assert requests[:, 0].tolist() == [1] + [0] * (len(requests) - 2) + [1]
    assert requests[[0, 1, -1], 1] == pytest.approx(without.pop(), rel=TOLERANCE)
    trials = requests[2:-1, 1]
    assert len(trials) == found.thermo["f_1[5]"][-1] >= 3
    assert all(any(energy == pytest.approx(e, rel=TOLERANCE) for e in without) for energy in trials)


# ---------------------------------------------------------------------------------------------- fix atom/swap


@pytest.mark.parametrize("ranks", [1, 2])
def test_atom_swap(lammps: Lammps, gentle_student: Path, tmp_path: Path, ranks: int) -> None:
    """Types of owned atoms and of their ghosts change without re-neighboring."""
    swaps, seed = 12, 777
    system = System(gentle_student)
    system.write(tmp_path)
    fix = f"all atom/swap 1 {swaps} {seed} {TEMPERATURE} types 1 2 ke no"
    found = run(lammps, tmp_path, gentle_student, fix, 1, "f_1[2]", ranks)

    random, taken = RanPark(seed), 0
    stored = system.energy()
    expected = [(True, stored), (False, stored)]
    lists = {kind: system.tags(kind, ranks) for kind in (1, 2)}
    for _ in range(swaps):
        pair = [lists[kind][random.index(len(lists[kind]))] for kind in (1, 2)]
        for tag in pair:
            system.kinds[tag] = 3 - system.kinds[tag]
        energy = system.energy()
        expected.append((False, energy))
        if random.uniform() < math.exp((stored - energy) / (BOLTZMANN * TEMPERATURE)):
            stored, taken = energy, taken + 1
            lists = {kind: system.tags(kind, ranks) for kind in (1, 2)}
        else:
            for tag in pair:
                system.kinds[tag] = 3 - system.kinds[tag]
    expect_requests(tmp_path, [*expected, (True, stored)], ranks)
    assert found.thermo["f_1[2]"][-1] == taken
    assert 0 < taken < swaps
