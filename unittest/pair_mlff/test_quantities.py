"""What LAMMPS's computes and fixes get from `pair_style mlff`, besides energy and forces, beside the Python student."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from lammps_run import Lammps, read_dump, scattered_points, vectors, write_data
from mlff.model_file import save_model
from mlff.painn import PaiNN
from mlff.student import Student

CELL = np.array([[10.0, 0, 0], [1.2, 9.3, 0], [-0.8, 0.9, 9.0]])
VOLUME = np.linalg.det(CELL)
MASSES = [1.008, 15.999]
NUM_ATOMS = 40
BAR = 1.6021765e6  # LAMMPS's own bar per eV/Å^3 in metal units, with its eight digits
# 1e-16 a value, in sums over some 50 neighbors taken in another order; positions went through text and carry 2e-15 Å,
# times second derivatives of 1e2 eV/Å^2
TOLERANCE = 1e-11


def system() -> tuple[np.ndarray, np.ndarray]:
    """Types (1 H, 2 O) and positions."""
    rng = np.random.default_rng(31)
    return rng.integers(1, 3, NUM_ATOMS), scattered_points(rng, NUM_ATOMS, np.zeros(3), np.array([9.4, 8.9, 8.6]), 1.5)


def setup(student: Path, keywords: str = "precision fp64 check off", pair: str = "") -> str:
    pair = pair or f"pair_style mlff jit off {keywords}\npair_coeff * * {student} H O"
    return f"""
    clear
    units           metal
    atom_modify     map yes
    processors      * 1 1
    read_data       data.test
    {pair}
    neighbor        0.5 bin
    """


def write_system(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    kinds, x = system()
    write_data(folder / "data.test", CELL, kinds, x, MASSES)
    return kinds, x


def printed(log: str, label: str) -> np.ndarray:
    match = re.search(rf"^{label} +(.*)$", log, re.M)
    assert match, f"expected {label!r} in the log, found:\n{log[-3000:]}"
    return np.array([float(word) for word in match[1].split()])


# ---------------------------------------------------------------------------------------------- per atom


def edge_sums(file: Path, kinds: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energies [atoms] and virials [atoms, 9] by the formula of the manual, from the gradient on edges."""
    student = Student(file, precision="fp64")
    graph = student.graph(Atoms(["HO"[kind - 1] for kind in kinds], x, cell=CELL, pbc=True))
    r = graph.rij.clone().requires_grad_(True)
    energies = student.model(graph.element, graph.center, graph.neighbor, r)
    (g,) = torch.autograd.grad(energies.sum(), r)
    half = -0.5 * (r.detach()[:, :, None] * g[:, None, :]).numpy()  # r^a g^b
    virials = np.zeros((len(x), 3, 3))
    np.add.at(virials, graph.center.numpy(), half)
    np.add.at(virials, graph.neighbor.numpy(), half)
    order = ([0, 1, 2, 0, 0, 1, 1, 2, 2], [0, 1, 2, 1, 2, 2, 0, 0, 1])  # xx yy zz xy xz yz yx zx zy
    return energies.detach().numpy(), virials[:, *order]


@pytest.mark.parametrize(("ranks", "newton"), [(1, "on"), (2, "on"), (2, "off")])
def test_per_atom_energies_and_virials(
    lammps: Lammps, gentle_student: Path, tmp_path: Path, ranks: int, newton: str
) -> None:
    """Asked for alone and at once; sums are the totals."""
    kinds, x = write_system(tmp_path)
    six = "compute six all stress/atom NULL virial\ncompute six_sum all reduce sum c_six[*]\n"
    nine = "compute nine all centroid/stress/atom NULL virial\ncompute nine_sum all reduce sum c_nine[*]\n"
    sections = {
        "six": (six, "c_six[*]", "c_six_sum[*]"),
        "nine": (nine, "c_nine[*]", "c_nine_sum[*]"),
        "both": (six + nine, "c_six[*] c_nine[*]", "c_six_sum[*] c_nine_sum[*]"),
    }
    script = ""
    for name, (computes, columns, sums) in sections.items():
        script += setup(gentle_student).replace("clear", f"clear\n    newton {lammps.newton(newton)}")
        script += f"""
        compute         energy all pe/atom
        compute         energy_sum all reduce sum c_energy
        compute         virial all pressure NULL virial
        {computes}
        dump            1 all custom 1 dump.{name} id c_energy {columns}
        dump_modify     1 format float %.17g
        thermo_style    custom step pe press c_energy_sum c_virial[*] {sums}
        thermo_modify   format float %.17g line yaml
        run             0
        """
    log = lammps.run(tmp_path, script, ranks).log
    rows = [
        np.array(re.findall(r"[-\d.e+]+", row), dtype=float)[1:] for row in re.findall(r"^ +- \[(.*)\]$", log, re.M)
    ]
    energies, virials = edge_sums(gentle_student, kinds, x)
    total = virials.sum(axis=0)
    assert total[3:6] == pytest.approx(total[6:9], abs=1e-10)
    assert np.abs(virials[:, 3:6] - virials[:, 6:9]).max() > 1e-4, "of a single atom xy and yx differ"
    for row, name in zip(rows, sections, strict=True):
        (frame,) = read_dump(tmp_path / f"dump.{name}").values()
        assert frame["c_energy"] == pytest.approx(energies, rel=TOLERANCE)
        pe, pressure, energy_sum, *rest = row
        assert pe == pytest.approx(energies.sum(), rel=TOLERANCE)
        assert energy_sum == pytest.approx(pe, rel=1e-13)
        virial, sums = np.array(rest[:6]) * VOLUME / BAR, np.array(rest[6:])
        assert virial == pytest.approx(total[:6], rel=1e-10, abs=1e-10)
        assert pressure * VOLUME / BAR == pytest.approx(total[:3].mean(), rel=1e-10)  # atoms are at rest
        # LAMMPS prints minus the virial, in bar Å^3; six before nine
        sizes = [size for size, word in ((6, "six"), (9, "nine")) if name in (word, "both")]
        for size in sizes:
            column = "six" if size == 6 else "nine"
            found = np.stack([frame[f"c_{column}[{k + 1}]"] for k in range(size)], axis=1) / -BAR
            assert found == pytest.approx(virials[:, :size], rel=1e-9, abs=1e-10), (name, column)
            assert sums[:size] / -BAR == pytest.approx(total[:size], rel=1e-10, abs=1e-10), (name, column)
            sums = sums[size:]
    assert len(rows) == 3


# ---------------------------------------------------------------------------------------------- differences from fp64


@pytest.mark.parametrize("ranks", [1, 2])
def test_compute_pair_and_fix_pair_show_the_last_check(
    lammps: Lammps, gentle_student: Path, tmp_path: Path, ranks: int
) -> None:
    """Zero before a check; then what a run in fp64 at the same positions differs by."""
    kinds, x = write_system(tmp_path)
    values = "$(c_check[1]:%.17g) $(c_check[2]:%.17g) $(c_check[3]:%.17g)"
    output = """
    compute         virial all pressure NULL virial
    thermo_style    custom step pe c_virial[*] {vector}
    thermo_modify   format float %.17g
    dump            1 all custom 2 dump.{name} id x y z fx fy fz {column}
    dump_modify     1 format float %.17g
    """
    fp32 = output.format(name="fp32", vector="c_check[*]", column="f_error")
    last = "$(pe:%.17g) " + " ".join(f"$(c_virial[{k}]:%.17g)" for k in range(1, 7))
    script = f"""
    {setup(gentle_student, "precision fp32 check off")}
    compute         check all pair mlff
    thermo_style    custom step pe c_check c_check[*]
    run             0
    print           "OFF $(c_check:%.17g) $(pe:%.17g) {values}"
    {setup(gentle_student, "precision fp32 check 2")}
    velocity        all create 900 4711 loop geom
    compute         check all pair mlff
    fix             error all pair 2 mlff force_error 0
    fix             1 all nve
    {fp32}
    run             2
    print           "CHECK {values}"
    print           "LASTFP32 {last}"
    {setup(gentle_student, "precision fp32")}
    velocity        all create 900 4711 loop geom
    compute         check all pair mlff
    fix             error all pair 2 mlff force_error 1
    fix             1 all nve
    {fp32.replace("dump.fp32", "dump.asked")}
    run             2
    print           "ASKED {values}"
    print           "LASTASKED {last}"
    """
    for name in ("fp32", "asked"):
        script += f"""
        {setup(gentle_student)}
        {output.format(name=f"{name}.fp64", vector="", column="")}
        rerun           dump.{name} dump x y z
        print           "LAST{name.upper()}64 {last}"
        """
    log = lammps.run(tmp_path, script, ranks).log
    off = printed(log, "OFF")
    assert off[0] == off[1]
    assert (off[2:] == 0.0).all()

    # fp64 at positions that went through text: 1e-12 eV/Å. Each run is compared with fp64 at its own positions: on a
    # GPU, where sums are taken in any order, another run in fp32 is elsewhere after two steps.
    for name, label in (("fp32", "CHECK"), ("asked", "ASKED")):
        run, exact = (read_dump(tmp_path / f"dump.{name}{suffix}") for suffix in ("", ".fp64"))
        last_run, last_exact = (printed(log, f"LAST{name.upper()}{suffix}") for suffix in ("", "64"))
        for step in (0, 2):
            difference = vectors(run[step], "f") - vectors(exact[step], "f")
            assert np.abs(difference).max() > 1e-9
            assert run[step]["f_error"] == pytest.approx(np.linalg.norm(difference, axis=1), abs=1e-11)
        found = printed(log, label)
        assert found[0] == pytest.approx((last_run[0] - last_exact[0]) / NUM_ATOMS, abs=1e-12)
        assert found[1] == pytest.approx(np.abs(difference).max(), abs=1e-11)
        virial = np.abs(last_run[1:] - last_exact[1:]).max() * VOLUME / BAR / NUM_ATOMS
        assert found[2] == pytest.approx(virial, abs=1e-11)


@pytest.mark.parametrize("ranks", [1, 2])
def test_force_errors_belong_to_their_atoms(lammps: Lammps, gentle_student: Path, tmp_path: Path, ranks: int) -> None:
    """Beside atoms that the student does not see, which have none."""
    kinds, x = system()
    kinds[::3] = 3
    write_data(tmp_path / "data.test", CELL, kinds, x, [*MASSES, 39.948])
    script = ""
    for precision, column in (("fp32", "f_error"), ("fp64", "")):
        pair = f"""
        pair_style      hybrid/overlay mlff precision {precision} jit off zero 5.0
        pair_coeff      * * mlff {gentle_student} H O NULL
        pair_coeff      * * zero
        """
        script += f"""
        {setup(gentle_student, pair=pair)}
        {"fix error all pair 1 mlff force_error 1" if column else ""}
        dump            1 all custom 1 dump.{precision} id type fx fy fz {column}
        dump_modify     1 format float %.17g
        run             0
        """
    lammps.run(tmp_path, script, ranks)
    (fp32,), (fp64,) = (read_dump(tmp_path / f"dump.{precision}").values() for precision in ("fp32", "fp64"))
    difference = np.linalg.norm(vectors(fp32, "f") - vectors(fp64, "f"), axis=1)
    assert fp32["f_error"] == pytest.approx(difference, abs=1e-11)
    seen = fp32["type"] < 3
    assert (fp32["f_error"][~seen] == 0.0).all() and (fp32["f_error"][seen] > 0.0).all()


# ---------------------------------------------------------------------------------------------- scale, for fix adapt

SCALES = (0.3, 1.0, 0.0)


def same_but_for_order(values: np.ndarray) -> object:
    """On a GPU sums over some 50 neighbors are taken in any order, in two interactions forwards and backwards:
    4 * 50 * 1e-16 of terms as large as the largest sum."""
    return pytest.approx(values, abs=2e-14 * np.abs(values).max())


@pytest.mark.parametrize("ranks", [1, 2])
def test_scale_multiplies_everything(lammps: Lammps, gentle_student: Path, tmp_path: Path, ranks: int) -> None:
    """Alone, and beside a style for a type that the student does not see."""
    write_system(tmp_path)
    hybrid = f"""
    pair_style hybrid/overlay mlff precision fp64 jit off check off lj/cut 4.0
    pair_coeff * * mlff {gentle_student} H NULL
    pair_coeff * * lj/cut 0.0 3.0
    """
    labels = "pe c_virial[1] c_virial[2] c_virial[3] c_virial[4] c_virial[5] c_virial[6]"
    script = ""
    for name, pair, types in (("alone", "", "* *"), ("hybrid", hybrid, "1 1")):
        for scale in SCALES:
            script += f"""
            {setup(gentle_student, pair=pair)}
            variable        lambda equal {scale}
            fix             1 all adapt 1 pair mlff scale {types} v_lambda
            compute         energy all pe/atom
            compute         nine all centroid/stress/atom NULL virial
            compute         virial all pressure NULL virial
            thermo_style    custom step {labels}
            dump            1 all custom 1 dump.{name}.{scale} id fx fy fz c_energy c_nine[*]
            dump_modify     1 format float %.17g
            run             0
            print           "{name} {scale} {" ".join(f"$({label}:%.17g)" for label in labels.split())}"
            variable        lambda delete
            """
    log = lammps.run(tmp_path, script, ranks).log
    for name in ("alone", "hybrid"):
        totals = {scale: printed(log, f"{name} {scale}") for scale in SCALES}
        frames = {scale: next(iter(read_dump(tmp_path / f"dump.{name}.{scale}").values())) for scale in SCALES}
        assert abs(totals[1.0][0]) > 1.0 and np.abs(totals[1.0][1:]).min() > 1.0
        for scale in SCALES:
            assert totals[scale][:1] == same_but_for_order(scale * totals[1.0][:1])
            assert totals[scale][1:] == same_but_for_order(scale * totals[1.0][1:])
            for column, values in frames[1.0].items():
                factor = 1.0 if column == "id" else scale
                assert frames[scale][column] == same_but_for_order(factor * values), (name, column)


def test_different_scales_are_refused(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    write_system(tmp_path)
    script = f"""
    {setup(gentle_student)}
    variable        lambda equal 0.5
    fix             1 all adapt 1 pair mlff scale 1 2 v_lambda
    run             0
    """
    text = " ".join(lammps.run(tmp_path, script, fails=True).log.split())
    assert "expected one 'scale' for all types, found 1.0" in text
    assert "0.500000. Use 'pair mlff scale * *' in fix adapt." in text


def test_thermodynamic_integration(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    """The work of switching, the integral of dE/dscale, is what the total energy of NVE changes by."""
    write_system(tmp_path)
    steps = 100
    script = f"""
    {setup(gentle_student)}
    velocity        all create 600 4711 loop geom
    timestep        0.00025
    variable        lambda equal ramp(0.2,1.0)
    fix             adapt all adapt 1 pair mlff scale * * v_lambda
    fix             1 all nve
    thermo          1
    thermo_style    custom step pe etotal v_lambda
    thermo_modify   format float %.17g
    run             {steps}
    """
    thermo = lammps.run(tmp_path, script).thermo
    scale = thermo["v_lambda"]
    assert scale[0] == pytest.approx(0.2) and scale[-1] == pytest.approx(1.0)
    derivative = thermo["PotEng"] / scale
    work = ((derivative[1:] + derivative[:-1]) / 2 * np.diff(scale)).sum()
    change = thermo["TotEng"][-1] - thermo["TotEng"][0]
    assert abs(change) > 10.0
    # of order dt^2, as the conservation of energy: kinetic and potential energy exchange some 1 eV here, at 40 steps a
    # period of the fastest vibration (error of some (2 pi / 40)^2 / 12 of it)
    assert change == pytest.approx(work, abs=2e-3)


# ---------------------------------------------------------------------------------------------- memory, heat flux


def test_memory_grows_with_the_atoms(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    """What a second student adds to LAMMPS's count of memory: it shares the neighbor list of the first."""
    kinds, x = write_system(tmp_path)
    script = ""
    for copies in (1, 2):
        for students in ("", "12"):
            style = "mlff jit off check off " * max(len(students), 1)
            pair = f"pair_style hybrid/overlay {style}\n"
            pair += "\n".join(f"pair_coeff * * mlff {number} {gentle_student} H O" for number in students or " ")
            script += f"{setup(gentle_student, pair=pair)}\nreplicate {copies} {copies} {copies}\nrun 0\n"
    log = lammps.run(tmp_path, script).log
    assert len(re.findall(r"\(2\) pair mlff.*, perpetual, copy from \(1\)", log)) == 2
    small, small_twice, large, large_twice = (
        2**20 * float(mega) for mega in re.findall(r"memory allocation \(min/avg/max\) = (\S+)", log)
    )
    student = Student(gentle_student, precision="fp64")
    num_edges = len(student.graph(Atoms(["HO"[kind - 1] for kind in kinds], x, cell=CELL, pbc=True)).center)
    # an edge has a vector (24 bytes), an index (4) and a place in the list with skin (4 or more)
    growth = (large_twice - large) - (small_twice - small)
    assert 7 * 28 * num_edges < growth < 7 * 100 * num_edges


@pytest.mark.parametrize("num_interactions", [1, 2])
def test_heat_flux_is_refused(lammps: Lammps, tmp_path: Path, num_interactions: int) -> None:
    """Halves of an edge's virial are not dE_j/dr_i, also where an energy depends on its own neighbors alone."""
    torch.manual_seed(1)
    student = tmp_path / "student.pt"
    save_model(PaiNN(["H", "O"], [1, 8], 8, num_interactions, 6, 4.0, [-1.0, -2.0], [0.31, 0.66]), student, "one")
    write_system(tmp_path)
    script = f"""
    {setup(student)}
    velocity        all create 600 4711 loop geom
    compute         kinetic all ke/atom
    compute         energy all pe/atom
    compute         nine all centroid/stress/atom NULL virial
    compute         flux all heat/flux kinetic energy nine
    thermo_style    custom step c_flux[*]
    run             0
    """
    text = " ".join(lammps.run(tmp_path, script, fails=True).log.split())
    assert re.search(r"ERROR: pair_style mlff: expected no 'compute heat/flux'.*found compute 'flux'", text)
    assert "fix thermal/conductivity" in text
