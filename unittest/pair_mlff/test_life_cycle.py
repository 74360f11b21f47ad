"""What happens to the style between runs: commands repeated, restarts, other files, other communication, unloading; and
programs that use LAMMPS as a library, with Torch in the same process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from frames import ENERGY_TOLERANCE, FORCE_TOLERANCE, OUTPUT, Cases, Frame, Judge, frame, run_cases, scatter_atoms
from lammps_run import Lammps, force_difference, write_data

OTHER = Path(__file__).parent.parent / "reference" / "painn-t3-v1.pt"  # H C O, cutoff 4 Å, T = 3
MASSES = [1.008, 15.999]
BOX = np.diag([13.0, 8.4, 8.6])
COUNT = 55
# Rounding, 1e-16 a step, times its growth over some steps between differently sorted atoms
SAME = 1e-10

GENTLE_STYLE = """
pair_style mlff precision fp64 jit off check off
pair_coeff * * student.pt H O
"""
OTHER_STYLE = f"""
pair_style mlff precision fp64 jit off check off
pair_coeff * * {OTHER} H O
"""
SETTINGS = f"""
neighbor 0.3 bin
neigh_modify every 1 delay 0 check yes
timestep 0.0005
{OUTPUT}
"""
READ = """
units metal
read_data system.data
"""
MOVE = """
velocity all create 900 4711 loop geom
fix 1 all nve
"""
BEGIN = READ + GENTLE_STYLE + SETTINGS + MOVE


def cases_of(lammps: Lammps) -> dict[str, str]:
    style = "mlff/kk" if "kk" in lammps.flags else "mlff"
    return {
        "whole": f"{BEGIN} run 12\n {frame('whole')}",
        "pre-no": f"{BEGIN} run 5\n run 3 pre no post no\n run 4 pre no\n {frame('pre-no')}",
        "every": f"{BEGIN} run 12 every 4 'print now'\n {frame('every')}",
        "every-none": f"{BEGIN} run 12 pre yes every 6 NULL\n {frame('every-none')}",
        "several": f"{BEGIN} run 5\n run 0\n run 7\n {frame('several')}",
        "reset_timestep": f"""{BEGIN}
            run 5
            reset_timestep 0
            run 3
            reset_timestep 3000000000
            run 4
            {frame("reset_timestep")}
            """,
        "restart": f"""{BEGIN}
            run 7
            write_restart half.restart
            run 5
            {frame("restart.whole")}
            clear
            read_restart half.restart
            {GENTLE_STYLE} {SETTINGS}
            fix 1 all nve
            run 5
            {frame("restart.read")}
            """,
        "coeff-again": f"""{BEGIN}
            run 3
            pair_coeff * * {OTHER} H O
            run 3
            {frame("coeff-again.other")}
            pair_coeff * * student.pt O H
            run 3
            {frame("coeff-again.turned")}
            """,
        "style-again": f"""{BEGIN}
            run 3
            {OTHER_STYLE}
            run 3
            {frame("style-again.other")}
            pair_style lj/cut 4.0
            pair_coeff * * 0.001 1.0
            run 3
            {GENTLE_STYLE}
            run 3
            {frame("style-again.first")}
            """,
        "compute-no": f"""{BEGIN}
            run 3
            pair_modify compute no
            velocity all create 90000 4711 loop geom
            run 12
            pair_modify compute yes
            velocity all create 900 4711 loop geom
            delete_atoms overlap 1.0 all all
            run 3
            {frame("compute-no")}
            """,
        "communication": f"""{BEGIN}
            run 3
            newton {lammps.newton_of_pairs("off")}
            run 3
            {frame("communication.newton")}
            balance 1.0 shift x 5 1.0
            run 3
            {frame("communication.balance")}
            comm_style tiled
            balance 1.0 rcb
            newton {lammps.newton_of_pairs("on")}
            run 3
            {frame("communication.tiled")}
            fix 2 all balance 2 1.0 rcb
            run 5
            {frame("communication.fix-balance")}
            """,
        "unload": f"""{BEGIN}
            run 3
            plugin unload pair {style}
            run 0
            print "UNLOADED $(pe)"
            plugin load {lammps.plugin_dir}/{"mlffkkplugin.so" if "kk" in lammps.flags else "mlffplugin.so"}
            {GENTLE_STYLE}
            run 3
            {frame("unload")}
            """,
    }


JUDGED_BY = {"coeff-again.other": "other", "style-again.other": "other", "coeff-again.turned": "turned"}


@pytest.fixture(scope="module")
def judges(gentle_student: Path) -> dict[str, Judge]:
    return {
        "gentle": Judge(gentle_student, ["H", "O"]),
        "turned": Judge(gentle_student, ["O", "H"]),
        "other": Judge(OTHER, ["H", "O"]),
    }


def write_system(folder: Path, student: Path) -> Path:
    (folder / "student.pt").symlink_to(student)
    write_data(folder / "system.data", BOX, *scatter_atoms(BOX, COUNT), MASSES)
    return folder


# What widens buffers or moves atoms between ranks; two ranks waiting for each other take their time.
ON_TWO_RANKS = ["whole", "pre-no", "restart", "coeff-again", "style-again", "communication"]


@pytest.fixture(scope="module")
def one_rank(lammps: Lammps, gentle_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Cases:
    return run_cases(lammps, write_system(tmp_path_factory.mktemp("life"), gentle_student), cases_of(lammps))


@pytest.fixture(scope="module")
def two_ranks(lammps: Lammps, gentle_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Cases:
    folder = write_system(tmp_path_factory.mktemp("life"), gentle_student)
    return run_cases(lammps, folder, {name: cases_of(lammps)[name] for name in ON_TWO_RANKS}, ranks=2)


def expect_frames(judges: dict[str, Judge], cases: Cases, script: str) -> None:
    for name in re.findall(r"FRAME (\S+)", script):
        judges[JUDGED_BY.get(name, "gentle")].expect(cases[name])


@pytest.mark.parametrize("name", cases_of(Lammps("", None, "", "")))
def test_frames_equal_the_python_student(one_rank: Cases, judges: dict[str, Judge], lammps: Lammps, name: str) -> None:
    expect_frames(judges, one_rank, cases_of(lammps)[name])


@pytest.mark.parametrize("name", ON_TWO_RANKS)
def test_frames_equal_the_python_student_on_two_ranks(
    two_ranks: Cases, judges: dict[str, Judge], lammps: Lammps, name: str
) -> None:
    expect_frames(judges, two_ranks, cases_of(lammps)[name])


def test_runs_in_parts_are_one_run(one_rank: Cases, two_ranks: Cases) -> None:
    whole = one_rank["whole"]
    parts = ("pre-no", "every", "every-none", "several", "reset_timestep", "restart.whole", "restart.read")
    for found in (*(one_rank[name] for name in parts), two_ranks["pre-no"], two_ranks["restart.read"]):
        assert np.abs(found.x - whole.x).max() < SAME
        assert force_difference(found.forces, whole.forces) < SAME


def test_a_style_that_is_unloaded_leaves_none(one_rank: Cases) -> None:
    assert re.search(r"^UNLOADED 0$", one_rank.log["unload"], re.M)


def test_keywords_of_an_earlier_command_are_dropped(lammps: Lammps, gentle_student: Path, tmp_path: Path) -> None:
    script = f"{BEGIN} run 0\n pair_style mlff\n pair_coeff * * student.pt H O\n run 0\n"
    log = lammps.run(write_system(tmp_path, gentle_student), script).log
    assert re.findall(r"precision (\S+), jit (\S+),", log) == [("fp64", "off"), ("fp32", "freeze")]


MISTAKES = {
    "style again without coefficients": (f"{BEGIN} run 0\n pair_style mlff\n run 0", "All pair coeffs are not set"),
    "NULL alone": (
        f"{BEGIN} pair_coeff * * student.pt H NULL\n run 0",
        "All pair coeffs are not set",
    ),
    "NULL that nobody takes": (
        f"{BEGIN} pair_style hybrid/overlay mlff lj/cut 4.0\n pair_coeff * * mlff student.pt H NULL\n run 0",
        "All pair coeffs are not set",
    ),
    "restart without a style": (
        f"{BEGIN} run 0\n write_restart x.restart\n clear\n read_restart x.restart\n run 0",
        "Must re-specify non-restarted pair style (mlff) after read_restart",
    ),
    "tail": (f"{BEGIN} pair_modify tail yes\n run 0", "expected 'pair_modify tail no', found 'yes'"),
    "shift": (f"{BEGIN} pair_modify shift yes\n run 0", "expected 'pair_modify shift no', found 'yes'"),
    "unloaded": (f"{BEGIN} plugin clear\n pair_style mlff", "Unrecognized pair style 'mlff'"),
    "file that is gone": (f"{BEGIN} run 0\n pair_coeff * * gone.pt H O\n run 0", "found no file 'gone.pt'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_between_runs(lammps: Lammps, gentle_student: Path, tmp_path: Path, mistake: str) -> None:
    script, message = MISTAKES[mistake]
    log = " ".join(lammps.run(write_system(tmp_path, gentle_student), script, fails=True).log.split())
    assert message in log


@pytest.mark.parametrize("way", ["host to kk", "kk to host"])
def test_restart_of_the_other_variant(
    lammps: Lammps, gentle_student: Path, tmp_path: Path, judges: dict[str, Judge], way: str
) -> None:
    """A restart file knows of no variant. (Without Kokkos in the run both are the host style.)"""
    kokkos = GENTLE_STYLE
    host = f"suffix off\n{GENTLE_STYLE}\nsuffix kk\n" if "kk" in lammps.flags else GENTLE_STYLE
    first, second = (host, kokkos) if way == "host to kk" else (kokkos, host)
    folder = write_system(tmp_path, gentle_student)
    begin = BEGIN.replace(GENTLE_STYLE, first)
    write = f"{begin} run 5\n write_restart half.restart\n run 5\n {frame('written')}"
    read = f"read_restart half.restart\n{second}{SETTINGS}fix 1 all nve\nrun 5\n{frame('read')}"
    found = run_cases(lammps, folder, {"written": write, "read": read})
    if "kk" in lammps.flags:
        assert ("pair mlff/kk, perpetual" in found.log["read"]) == (way == "host to kk")
    judges["gentle"].expect(found["read"])
    assert force_difference(found["read"].forces, found["written"].forces) < SAME


# ---------------------------------------------------------------------------------------------- as a library

PROGRAM = """
import json, os, sys
order, flags, work = sys.argv[1], sys.argv[2].split(), sys.argv[3]
os.chdir(work)
if order == "before":
    import torch
from lammps import lammps

def start(style):
    lmp = lammps(cmdargs=["-screen", "none", "-log", "none", *flags])
    lmp.commands_string(BEGIN.replace(GENTLE_STYLE, style))
    return lmp

def result(lmp):
    return {"energy": lmp.get_thermo("pe"), "forces": list(lmp.gather_atoms("f", 1, 3)),
            "x": list(lmp.gather_atoms("x", 1, 3))}

results = {}
first, second = start(GENTLE_STYLE), start(OTHER_STYLE)
for lmp in (first, second, first, second):
    lmp.command("run 2")
results["first"], results["second"] = result(first), result(second)
if order == "after":
    import torch

# Torch of this process works beside the plugin, before and after
square = torch.arange(12.0, dtype=torch.float64).reshape(3, 4).requires_grad_(True)
(gradient,) = torch.autograd.grad((square @ square.T).sum(), square)
results["gradient"] = gradient[0, 0].item()
results["version"] = torch.__version__
second.close()

try:
    first.command("pair_coeff * * nowhere.pt H O")
except Exception as error:
    results["error"] = str(error)
first.commands_string(GENTLE_STYLE + "run 2\\n")
results["later"] = result(first)
first.close()
third = start(GENTLE_STYLE)
third.command("run 6")
results["third"] = result(third)
third.close()
with open("/proc/self/maps") as maps:
    results["libtorch"] = sorted({line.split()[-1] for line in maps if "libtorch_cpu" in line})
with open(f"results-{order}.json", "w") as file:
    json.dump(results, file)
"""


def library_environment(lammps: Lammps, config: dict[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        "LAMMPS_PLUGIN_PATH": lammps.plugin_dir,
        "LD_LIBRARY_PATH": config["lammps_build_dir"],
        "PYTHONPATH": config["lammps_source_dir"] + "/python",
        "OMP_NUM_THREADS": str(lammps.num_threads),
        "OMP_PROC_BIND": "false",
    }


@pytest.mark.parametrize("order", ["before", "after"])
def test_python_module_with_torch_and_two_lammps(
    lammps: Lammps,
    config: dict[str, str],
    gentle_student: Path,
    tmp_path: Path,
    judges: dict[str, Judge],
    order: str,
) -> None:
    write_system(tmp_path, gentle_student)
    constants = f"BEGIN, GENTLE_STYLE, OTHER_STYLE = {BEGIN!r}, {GENTLE_STYLE!r}, {OTHER_STYLE!r}\n"
    (tmp_path / "program.py").write_text(constants + PROGRAM)
    command = [sys.executable, "program.py", order, " ".join(lammps.flags), str(tmp_path)]
    environment = library_environment(lammps, config)
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads((tmp_path / f"results-{order}.json").read_text())

    def expect(name: str, judge: str) -> None:
        x, forces = (np.array(found[name][key]).reshape(-1, 3) for key in ("x", "forces"))
        types = scatter_atoms(BOX, COUNT)[0]
        expect_positions(judges[judge], types, x, found[name]["energy"], forces)

    expect("first", "gentle")
    expect("second", "other")
    expect("later", "gentle")
    expect("third", "gentle")
    # two more steps after an error and a repeated command are six steps in all, as in one object that did nothing else
    later, third = (np.array(found[name]["forces"]) for name in ("later", "third"))
    assert force_difference(later, third) < SAME
    assert "found no file 'nowhere.pt'" in found["error"]
    assert found["gradient"] == 2 * (0 + 4 + 8)
    assert len(found["libtorch"]) == 1


def expect_positions(judge: Judge, types: np.ndarray, x: np.ndarray, energy: float, forces: np.ndarray) -> None:
    atoms = {"type": types, **{axis: x[:, k] for k, axis in enumerate("xyz")}}
    expected_energy, expected_forces, _ = judge.predict(Frame(energy, np.zeros(6), BOX, np.ones(3, bool), atoms))
    assert energy == pytest.approx(expected_energy, rel=ENERGY_TOLERANCE)
    assert force_difference(forces, expected_forces) < FORCE_TOLERANCE


C_PROGRAM = """
#define LAMMPS_LIB_NO_MPI
#include "library.h"
#include <stdio.h>

int main(int argc, char **argv)
{
  for (int time = 0; time < 2; ++time) {
    void *lmp = lammps_open_no_mpi(argc, argv, NULL);
    lammps_file(lmp, "in.begin");
    lammps_command(lmp, "run 12");
    printf("ENERGY %.17g\\\\n", lammps_get_thermo(lmp, "pe"));
    lammps_command(lmp, "pair_coeff * * nowhere.pt H O");
    char text[2000];
    if (lammps_has_error(lmp) && lammps_get_last_error_message(lmp, text, 2000)) printf("MESSAGE %s\\\\n", text);
    lammps_close(lmp);
  }
  lammps_mpi_finalize();
  return 0;
}
""".replace("\\\\", "\\")


def test_c_library(
    lammps: Lammps, config: dict[str, str], gentle_student: Path, tmp_path: Path, one_rank: Cases
) -> None:
    write_system(tmp_path, gentle_student)
    (tmp_path / "in.begin").write_text(BEGIN)
    (tmp_path / "program.c").write_text(C_PROGRAM)
    build, source = config["lammps_build_dir"], config["lammps_source_dir"]
    compiler = ["cc", "program.c", "-o", "program", f"-I{source}/src", f"-L{build}", "-llammps", f"-Wl,-rpath,{build}"]
    subprocess.run(compiler, cwd=tmp_path, check=True, capture_output=True, text=True)
    command = ["./program", "-log", "none", *lammps.flags]
    environment = library_environment(lammps, config)
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    energies = [float(word) for word in re.findall(r"^ENERGY (\S+)$", ran.stdout, re.M)]
    assert energies == pytest.approx(2 * [one_rank["whole"].energy], rel=SAME)
    assert len(re.findall(r"^MESSAGE .*found no file 'nowhere.pt'", ran.stdout, re.M)) == 2
