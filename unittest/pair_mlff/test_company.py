"""`pair_style mlff` beside other pair styles, and under the commands that drive a pair style in ways of their own.

What the student gives is judged by the ASE calculator, what the partner gives by a run of the partner alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from lammps_run import Lammps, force_difference, read_dump, scattered_points, vectors, write_data
from mlff.calculator import MLFFCalculator

OTHER_STUDENT = Path(__file__).parent.parent / "reference" / "painn-t3-v1.pt"  # H C O, cutoff 4 Å, T = 3
CELL = np.array([[11.0, 0, 0], [1.2, 9.3, 0], [-0.8, 0.9, 9.0]])
MASSES = [1.008, 15.999, 39.948]
ARGON = 3
BAR = 1.6021765e6  # LAMMPS's own bar per eV/Å^3 in metal units, with its eight digits
VOIGT = [0, 1, 2, 5, 4, 3]  # from ASE's order to xx yy zz xy xz yz


def system() -> tuple[np.ndarray, np.ndarray]:
    """Types (1 H, 2 O, 3 Ar) and positions, in an order that has the argon between the others."""
    rng = np.random.default_rng(21)
    kinds = rng.integers(1, 3, 42)
    kinds[::4] = ARGON
    return kinds, scattered_points(rng, 42, np.array([0.2, 0.2, 0.2]), np.array([10.0, 8.9, 8.7]), 1.5)


@dataclass
class Values:
    """Energies [atoms], forces [atoms, 3] and virial [6] (xx yy zz xy xz yz) in eV and Å."""

    energies: np.ndarray
    forces: np.ndarray
    virial: np.ndarray

    def __add__(self, other: Values) -> Values:
        return Values(self.energies + other.energies, self.forces + other.forces, self.virial + other.virial)

    def __rmul__(self, factor: float) -> Values:
        return Values(factor * self.energies, factor * self.forces, factor * self.virial)


def student_alone(file: Path, kinds: np.ndarray, x: np.ndarray, cell: np.ndarray = CELL) -> Values:
    """By the ASE calculator, for the hydrogen and oxygen among the atoms."""
    seen = kinds != ARGON
    atoms = Atoms(["HO"[kind - 1] for kind in kinds[seen]], x[seen], cell=cell, pbc=True)
    atoms.calc = MLFFCalculator(file, precision="fp64")
    energies, forces = np.zeros(len(kinds)), np.zeros((len(kinds), 3))
    energies[seen], forces[seen] = atoms.get_potential_energies(), atoms.get_forces()
    return Values(energies, forces, -atoms.get_stress()[VOIGT] * atoms.get_volume())


def expect_equal(found: Values, expected: Values) -> None:
    # 1e-16 a value, in sums over some 50 neighbors (1,000 within 12 Å) taken in another order; positions went through
    # text and carry 2e-15 Å, times second derivatives of 1e2 eV/Å^2
    assert found.energies == pytest.approx(expected.energies, rel=1e-11, abs=1e-11)
    assert force_difference(found.forces, expected.forces) < 1e-11
    assert found.virial == pytest.approx(expected.virial, rel=1e-10, abs=1e-9)


# ---------------------------------------------------------------------------------------------- beside other styles

NUMBER = {1: 1, 2: 8, 3: 18}
PAIRS = [(i, j) for i in (1, 2, 3) for j in range(i, 4)]

# name: style, and by type pair ('*' for all) the words of pair_coeff
PARTNERS = {
    "zbl": ("zbl 2.5 4.0", {f"{i} {j}": f"{NUMBER[i]} {NUMBER[j]}" for i, j in PAIRS}),
    "coulomb": ("coul/cut 12.0", {"* *": ""}),
    "damped coulomb": ("coul/dsf 0.2 12.0", {"* *": ""}),
    "dispersion": ("dispersion/d3 bj pbe 12.0 9.0", {"* *": "H O Ar"}),
    "argon": ("lj/cut 7.0", {"*2 3": "0.004 3.0", "3 3": "0.01 3.4"}),
}
NOT_ARGON = {"*2 *2": "0.0 3.0"}  # what `hybrid` leaves to the student

START = """
clear
units           metal
atom_style      charge
atom_modify     map yes
processors      * 1 1
read_data       data.test
set             type 1 charge 0.35
set             type 2 charge -0.7
set             type 3 charge 0.02
neighbor        0.5 bin
"""

FINISH = """
compute         energy all pe/atom
compute         virial all pressure NULL virial
compute         stress all stress/atom NULL virial
compute         nine all centroid/stress/atom NULL virial
compute         six_sum all reduce sum c_stress[*]
compute         nine_sum all reduce sum c_nine[*]
thermo_style    custom step pe c_virial[*] c_six_sum[*] c_nine_sum[*]
thermo_modify   format float %.17g
dump            1 all custom 1 dump.{name} id fx fy fz c_energy
dump_modify     1 format float %.17g
run             0
print           "PRESSURE {name} $(c_virial[1]:%.17g) $(c_virial[2]:%.17g) $(c_virial[3]:%.17g) &
                 $(c_virial[4]:%.17g) $(c_virial[5]:%.17g) $(c_virial[6]:%.17g)"
print           "SIX {name} $(c_six_sum[1]:%.17g) $(c_six_sum[2]:%.17g) $(c_six_sum[3]:%.17g) &
                 $(c_six_sum[4]:%.17g) $(c_six_sum[5]:%.17g) $(c_six_sum[6]:%.17g)"
print           "NINE {name} $(c_nine_sum[1]:%.17g) $(c_nine_sum[2]:%.17g) $(c_nine_sum[3]:%.17g) &
                 $(c_nine_sum[4]:%.17g) $(c_nine_sum[5]:%.17g) $(c_nine_sum[6]:%.17g)"
"""

MLFF = "mlff precision fp64 jit off check off"


def partner_script(name: str, hybrid: str, student: Path) -> str:
    """`hybrid` is empty: the partner alone."""
    style, coefficients = PARTNERS[name]
    word = style.split()[0]
    if not hybrid:
        every = coefficients | (NOT_ARGON if name == "argon" else {})
        lines = [f"pair_style {style}", *(f"pair_coeff {types} {words}" for types, words in every.items())]
    else:
        every = coefficients | (NOT_ARGON if name == "argon" and hybrid != "hybrid" else {})
        scale = {"hybrid/scaled": ("0.75", "0.25")}.get(hybrid, ("", ""))
        lines = [
            f"pair_style {hybrid} {scale[1]} {style} {scale[0]} {MLFF}",  # the student adds to what is there
            f"pair_coeff * * mlff {student} H O NULL",
            *(f"pair_coeff {types} {word} {words}" for types, words in every.items()),
        ]
    return "\n".join(lines)


CASES = {
    **{name: ("hybrid/overlay", name) for name in PARTNERS},
    "hybrid": ("hybrid", "argon"),
    "scaled": ("hybrid/scaled", "coulomb"),
}


class Company:
    """All cases in one LAMMPS process."""

    def __init__(self, lammps: Lammps, test_plugins: str, folder: Path, student: Path, ranks: int) -> None:
        self.kinds, self.x = system()
        write_data(folder / "data.test", CELL, self.kinds, self.x, MASSES)
        data = (folder / "data.test").read_text().replace("# atomic", "# charge").splitlines()
        first = data.index("Atoms # charge") + 2
        data[first:] = [re.sub(r"^(\d+ \d+)", r"\1 0.0", line) for line in data[first:]]
        (folder / "data.test").write_text("\n".join(data) + "\n")

        sections = {f"{name}-alone": partner_script(name, "", student) for name in PARTNERS}
        sections |= {name: partner_script(partner, hybrid, student) for name, (hybrid, partner) in CASES.items()}
        sections["two"] = f"""
            pair_style hybrid/overlay {MLFF} {MLFF}
            pair_coeff * * mlff 1 {student} H O NULL
            pair_coeff * * mlff 2 {OTHER_STUDENT} H O NULL
            pair_coeff * 3 none
        """
        script = "".join(START + pair + FINISH.format(name=name.replace(" ", "-")) for name, pair in sections.items())
        with_dispersion = replace(lammps, plugin_dir=f"{lammps.plugin_dir}:{test_plugins}/dispersion_d3")
        self.folder, self.log = folder, with_dispersion.run(folder, script, ranks).log

    def numbers(self, label: str, name: str) -> np.ndarray:
        match = re.search(rf"^{label} {name} +(.*)$", self.log, re.M)
        assert match, self.log[-2000:]
        return np.array([float(word) for word in match[1].split()])

    def values(self, name: str) -> Values:
        name = name.replace(" ", "-")
        (frame,) = read_dump(self.folder / f"dump.{name}").values()
        virial = self.numbers("PRESSURE", name) / BAR * np.linalg.det(CELL)
        # each sum over atoms is the total, as LAMMPS counts it: minus the virial
        for label in ("SIX", "NINE"):
            assert -self.numbers(label, name) / BAR == pytest.approx(virial, rel=1e-11, abs=1e-10), label
        return Values(frame["c_energy"], vectors(frame, "f"), virial)


@pytest.fixture(scope="module", params=[1, 2], ids=["1rank", "2ranks"])
def company(
    lammps: Lammps,
    config: dict[str, str],
    gentle_student: Path,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Company:
    return Company(lammps, config["test_plugin_dir"], tmp_path_factory.mktemp("company"), gentle_student, request.param)


@pytest.mark.parametrize("name", CASES)
def test_beside(company: Company, gentle_student: Path, name: str) -> None:
    """The sum of both, for argon (type NULL) the partner alone."""
    hybrid, partner = CASES[name]
    mine, other = student_alone(gentle_student, company.kinds, company.x), company.values(f"{partner}-alone")
    assert np.abs(other.forces).max() > 1e-3
    expected = 0.75 * mine + 0.25 * other if hybrid == "hybrid/scaled" else mine + other
    expect_equal(company.values(name), expected)


def test_two_students_at_once(company: Company, gentle_student: Path) -> None:
    """Other cutoffs, other numbers of interactions, other widths of rows between ranks."""
    each = [student_alone(file, company.kinds, company.x) for file in (gentle_student, OTHER_STUDENT)]
    expect_equal(company.values("two"), each[0] + each[1])


# ---------------------------------------------------------------------------------------------- other drivers

WATER_BOX = np.diag([9.3, 9.3, 9.3])


def molecules(count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Types (1 H, 2 O) and positions of molecules in a row of cells, turned at random."""
    rng = np.random.default_rng(8)
    angle = np.radians(104.5)
    molecule = 0.97 * np.array([[0, 0, 0], [1, 0, 0], [np.cos(angle), np.sin(angle), 0]])
    grid = (np.array(list(np.ndindex((3, 3, 3)))[:count]) + 0.5) * 3.1
    x = [center + molecule @ np.linalg.qr(rng.normal(size=(3, 3)))[0] for center in grid]
    return np.tile([2, 1, 1], count), np.concatenate(x)


def setup(student: Path, pair: str = "") -> str:
    pair = pair or f"pair_style {MLFF}\npair_coeff * * {student} H O O"
    return f"""
    clear
    units           metal
    atom_modify     map yes
    read_data       data.test
    {pair}
    neighbor        0.3 bin
    neigh_modify    every 1 delay 0 check yes
    """


def test_respa(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    """On an inner level the style makes the steps of Verlet with the inner time step, on the outer one with the outer.

    The other level has a partner without forces.
    """
    kinds, x = molecules(12)
    write_data(tmp_path / "data.test", WATER_BOX, kinds, x, MASSES)
    beside = f"""
    pair_style      hybrid/overlay {MLFF} lj/cut 5.0
    pair_coeff      * * mlff {gentle_student} H O NULL
    pair_coeff      * * lj/cut 0.0 3.0
    """
    styles = {
        "verlet-1.0": (40, 0.001, "run_style verlet"),
        "verlet-0.5": (80, 0.0005, "run_style verlet"),
        "outer": (40, 0.001, "run_style respa 2 2 hybrid 2 1"),
        "inner": (40, 0.001, "run_style respa 2 2 hybrid 1 2"),
        "pair": (40, 0.001, "run_style respa 2 2 pair 1"),
    }
    script = ""
    for name, (steps, timestep, style) in styles.items():
        script += setup(gentle_student, beside if name in ("outer", "inner") else "")
        script += f"""
        velocity        all create 900 4711 loop geom
        timestep        {timestep}
        fix             1 all nve
        {style}
        dump            1 all custom {steps} dump.{name} id x y z fx fy fz
        dump_modify     1 format float %.17g
        run             {steps}
        print           "RESULT {name} $(pe:%.17g) $(press:%.17g)"
        """
    log = lammps.run(tmp_path, script).log
    assert min(int(builds) for builds in re.findall(r"Neighbor list builds = (\d+)", log)) >= 2
    last = {name: list(read_dump(tmp_path / f"dump.{name}").values())[-1] for name in styles}
    numbers = {name: np.array([float(a), float(b)]) for name, a, b in re.findall(r"RESULT (\S+) (\S+) (\S+)", log)}
    for name, same in {"outer": "verlet-1.0", "inner": "verlet-0.5", "pair": "verlet-0.5"}.items():
        # rounding (1e-16 of positions of 10 Å) that grows along some tens of steps
        assert force_difference(vectors(last[name], "f"), vectors(last[same], "f")) < 1e-9, name
        assert numbers[name] == pytest.approx(numbers[same], rel=1e-9), name
    assert force_difference(vectors(last["inner"], "f"), vectors(last["outer"], "f")) > 1e-6


def test_rerun_with_other_boxes_and_other_atoms(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    frames = []
    for count, size in ((6, 9.3), (9, 9.8), (3, 8.9), (9, 9.3)):
        kinds, x = molecules(count)
        frames.append((kinds, x * size / 9.3, np.diag([size, 9.3, size])))
    write_data(tmp_path / "data.test", WATER_BOX, *molecules(9), MASSES)
    lines: list[str] = []
    for step, (kinds, x, cell) in enumerate(frames):
        lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(kinds))]
        lines += ["ITEM: BOX BOUNDS pp pp pp", *(f"0.0 {length!r}" for length in cell.diagonal().tolist())]
        lines.append("ITEM: ATOMS id type x y z")
        lines += [f"{i + 1} {kinds[i]} {p[0]!r} {p[1]!r} {p[2]!r}" for i, p in enumerate(x.tolist())]
    (tmp_path / "frames").write_text("\n".join(lines) + "\n")
    script = f"""
    {setup(gentle_student)}
    thermo          1
    thermo_style    custom step pe pxx pyy pzz pxy pxz pyz
    thermo_modify   format float %.17g
    dump            1 all custom 1 dump.txt id fx fy fz
    dump_modify     1 format float %.17g
    rerun           frames dump x y z box yes replace no purge yes add yes
    """
    found = lammps.run(tmp_path, script)
    for row, (kinds, x, cell) in enumerate(frames):
        expected = student_alone(gentle_student, kinds, x, cell)
        assert found.thermo["PotEng"][row] == pytest.approx(expected.energies.sum(), rel=1e-11)
        assert force_difference(vectors(found.dump[row], "f"), expected.forces) < 1e-11
        pressure = [found.thermo[f"P{name}"][row] for name in ("xx", "yy", "zz", "xy", "xz", "yz")]
        assert np.array(pressure) / BAR * np.linalg.det(cell) == pytest.approx(expected.virial, rel=1e-10, abs=1e-9)


def test_minimize(lammps: Lammps, tmp_path: Path) -> None:
    """A line search evaluates many times at one step, the more so with the rough energies of random weights."""
    kinds, x = molecules()
    write_data(tmp_path / "data.test", WATER_BOX, kinds, x, MASSES)
    found = lammps.run(
        tmp_path,
        f"""
        {setup(OTHER_STUDENT)}
        thermo          1
        thermo_style    custom step pe fmax
        thermo_modify   format float %.17g
        min_style       cg
        minimize        0.0 0.0 40 1000
        write_dump      all custom dump.txt id x y z fx fy fz modify format float %.17g
        """,
    )
    energies = found.thermo["PotEng"]
    assert len(energies) == 41
    assert (np.diff(energies) < 1e-12).all() and energies[-1] < energies[0] - 0.05
    assert found.number(r"force evaluations += +\d+ +(\d+)") > 60
    (frame,) = found.dump.values()
    end = student_alone(OTHER_STUDENT, kinds, vectors(frame, ""), WATER_BOX)
    assert energies[-1] == pytest.approx(end.energies.sum(), rel=1e-11)
    # the forces may have become small beside second derivatives times the rounding of positions
    assert np.abs(vectors(frame, "f") - end.forces).max() < 1e-11
    assert found.thermo["Fmax"][-1] == pytest.approx(np.abs(end.forces).max(), abs=1e-11)


def test_numerical_derivatives(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    """LAMMPS's own finite differences of the energy, alone and beside a partner."""
    kinds, x = molecules()
    kinds[-1] = ARGON
    write_data(tmp_path / "data.test", WATER_BOX, kinds, x, MASSES)
    beside = f"""
    pair_style      hybrid/overlay {MLFF} lj/cut 5.0
    pair_coeff      * * mlff {gentle_student} H O NULL
    pair_coeff      * * lj/cut 0.0 3.0
    pair_coeff      * 3 lj/cut 0.01 1.0
    """
    script = ""
    for pair in ("", beside):
        name = "beside" if pair else "alone"
        script += setup(gentle_student, pair)
        script += f"""
        fix             numeric all numdiff 1 1.0e-4
        fix             strained all numdiff/virial 1 1.0e-4
        compute         virial all pressure NULL virial
        dump            1 all custom 1 dump.{name} id fx fy fz f_numeric[*]
        dump_modify     1 format float %.17g
        thermo_style    custom step pe c_virial[*] f_strained[*]
        run             0
        print           "ANALYTIC {name} $(c_virial[1]) $(c_virial[2]) $(c_virial[3]) &
                         $(c_virial[6]) $(c_virial[5]) $(c_virial[4])"
        print           "NUMERIC {name} $(f_strained[1]) $(f_strained[2]) $(f_strained[3]) &
                         $(f_strained[4]) $(f_strained[5]) $(f_strained[6])"
        """
    log = lammps.run(tmp_path, script).log
    pressures = {
        (label, name): np.array([float(word) for word in words.split()])
        for label, name, words in re.findall(r"^(ANALYTIC|NUMERIC) (\S+) +(.*)$", log, re.M)
    }
    for name in ("alone", "beside"):
        (frame,) = read_dump(tmp_path / f"dump.{name}").values()
        analytic = vectors(frame, "f")
        numeric = np.stack([frame[f"f_numeric[{k}]"] for k in (1, 2, 3)], axis=1)
        # delta^2 (1e-8 Å^2) times third derivatives of up to 1e3 eV/Å^3 in a bond, and rounding of 1e-14 eV / delta
        assert np.abs(numeric - analytic).max() < 1e-5, name
        assert np.abs(analytic).max() > 0.1
        # the same of strains of 1e-4, times distances of up to 9 Å, in bar for this volume
        volume = np.linalg.det(WATER_BOX)
        difference = pressures["NUMERIC", name] - pressures["ANALYTIC", name]
        assert np.abs(difference).max() * volume / BAR < 1e-5, name
        assert np.abs(pressures["ANALYTIC", name]).min() * volume / BAR > 1e-3
