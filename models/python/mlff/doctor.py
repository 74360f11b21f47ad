"""A check-up before any run: what ``mlff doctor LMP [--plugin FILE]`` prints.

Compares LAMMPS with the plugin and the libraries that both need, and runs a water molecule through them.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Finding", "add_arguments", "doctor", "run"]

PLUGIN = "mlffplugin.so"
REBUILD = "Build the plugin again, with -D LAMMPS_SOURCE_DIR=... and -D LAMMPS_BUILD_DIR=... of this LAMMPS."


@dataclass(frozen=True)
class Finding:
    """One line of the check-up; with advice it is a fault."""

    subject: str
    text: str
    advice: str = ""
    was_checked: bool = True

    @property
    def is_fault(self) -> bool:
        return bool(self.advice)

    def __str__(self) -> str:
        verdict = "FAULT" if self.is_fault else "ok" if self.was_checked else "-"
        line = f"{verdict:<6} {self.subject:<10} {self.text}"
        return f"{line}\n{'':<6} {'':<10} -> {self.advice}" if self.is_fault else line


def doctor(lmp: str | os.PathLike[str], plugin: str | os.PathLike[str] | None = None) -> list[Finding]:
    """Check a LAMMPS executable and the plugin that it is to load.

    Parameters
    ----------
    lmp
        the executable, a path or a name in PATH
    plugin
        ``mlffplugin.so``; by default the one that LAMMPS would find, in a folder of LAMMPS_PLUGIN_PATH
    """
    try:
        lammps = ask_lammps(lmp)
    except CheckError as error:
        return [error.finding]
    findings = [lammps_finding(lammps)]
    try:
        built = read_plugin(find_plugin(plugin))
    except CheckError as error:
        return [*findings, kokkos_finding(lammps), error.finding, left_out()]
    libraries = shared_libraries(built.path)
    findings += [
        plugin_finding(lammps, built),
        mpi_finding(lammps, built, libraries),
        kokkos_finding(lammps),
        libtorch_finding(built, libraries),
        cuda_finding(libraries),
        *missing_libraries(libraries),
    ]
    if any(finding.is_fault for finding in findings):
        return [*findings, left_out()]
    return [*findings, self_test(lammps, built)]


def left_out() -> Finding:
    return Finding("self-test", "left out: it needs all of the above", was_checked=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lmp", metavar="LMP", help="the LAMMPS executable")
    parser.add_argument("--plugin", metavar="FILE", help=f"{PLUGIN} (default: found through LAMMPS_PLUGIN_PATH)")


def run(arguments: argparse.Namespace) -> int:
    """Print the check-up; the exit code is 1 when it found a fault."""
    findings = doctor(arguments.lmp, arguments.plugin)
    for finding in findings:
        print(finding)
    faults = sum(finding.is_fault for finding in findings)
    print(f"{faults} fault{'' if faults == 1 else 's'} found" if faults else "No fault found.")
    return 1 if faults else 0


class CheckError(Exception):
    """Ends the check-up early, with a finding."""

    def __init__(self, subject: str, text: str, advice: str) -> None:
        super().__init__(text)
        self.finding = Finding(subject, text, advice)


# ---------------------------------------------------------------- LAMMPS


@dataclass(frozen=True)
class Lammps:
    """What ``lmp -h`` says."""

    path: str
    version: str
    sizes: str
    mpi: str
    packages: frozenset[str]
    kokkos: dict[str, str] = field(default_factory=dict)

    @property
    def mpi_family(self) -> str:
        return mpi_family(self.mpi)


def mpi_family(library: str) -> str:
    """The family of a library by what it says of itself, as the plugin's own guard tells them apart."""
    if "STUBS" in library or library == "stubs":
        return "stubs"
    if "Open MPI" in library:
        return "Open MPI"
    return "MPICH" if any(name in library for name in ("MPICH", "Intel", "MVAPICH")) else ""


def ask_lammps(lmp: str | os.PathLike[str]) -> Lammps:
    found = shutil.which(lmp)
    if found is None:
        raise CheckError("LAMMPS", f"expected an executable, found none at {lmp}", "Give the path of lmp.")
    path = os.path.abspath(found)
    try:
        result = subprocess.run([path, "-h"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CheckError("LAMMPS", f"{path} -h: {error}", "Give a LAMMPS executable that runs here.") from error
    if result.returncode:
        words = (result.stderr.strip() or result.stdout.strip() or f"exit code {result.returncode}").splitlines()[-1]
        advice = "Make it run first: load the modules that it was built with, or set LD_LIBRARY_PATH."
        raise CheckError("LAMMPS", f"{path} -h fails: {words}", advice)
    return parse_help(path, result.stdout)


def parse_help(path: str, text: str) -> Lammps:
    """Read the output of ``lmp -h``."""

    def first(pattern: str) -> str:
        match = re.search(pattern, text, re.MULTILINE)
        return match[1].strip() if match else ""

    version = first(r"Massively Parallel Simulator - (\d+ [A-Z][a-z]{2} \d+)")
    if not version:
        raise CheckError("LAMMPS", f"{path} -h does not print a LAMMPS version", "Give a LAMMPS executable.")
    packages = first(r"^Installed packages:\s*\n\s*\n((?:[A-Z0-9-]+ ?[\n]?)*)")
    kokkos = {
        "version": first(r"^Kokkos library version: (.*)$"),
        "backends": first(r"^KOKKOS package API: (.*)$"),
        "precision": first(r"^KOKKOS package precision: (.*)$"),
    }
    return Lammps(
        path,
        version,
        first(r"-DLAMMPS_(SMALLBIG|BIGBIG)").lower(),
        first(r"^MPI v[^:]*: *(.*)$").split(",")[0],
        frozenset(packages.split()),
        kokkos if "KOKKOS" in packages.split() else {},
    )


def lammps_finding(lammps: Lammps) -> Finding:
    text = f"{lammps.version}, {lammps.sizes}, {lammps.path}"
    if "PLUGIN" not in lammps.packages:
        return Finding("LAMMPS", f"{text}, without package PLUGIN", "Build LAMMPS with -D PKG_PLUGIN=on.")
    return Finding("LAMMPS", text)


def kokkos_finding(lammps: Lammps) -> Finding:
    if not lammps.kokkos:
        return Finding("Kokkos", "none in this LAMMPS; pair_style mlff needs none")
    kokkos = lammps.kokkos
    text = f"{kokkos['version']}, {kokkos['backends']}, precision {kokkos['precision']}"
    return Finding("Kokkos", f"{text}; pair_style mlff does not use it")


# ---------------------------------------------------------------- the plugin


@dataclass(frozen=True)
class Plugin:
    """What the plugin was compiled for, as it says in its bytes."""

    path: str
    version: str
    sizes: str
    mpi: str
    libtorch: str


def find_plugin(plugin: str | os.PathLike[str] | None) -> str:
    if plugin is not None:
        return os.path.abspath(plugin)
    folders = [folder for folder in os.environ.get("LAMMPS_PLUGIN_PATH", "").split(os.pathsep) if folder]
    for folder in folders:
        if (Path(folder) / PLUGIN).is_file():
            return os.path.abspath(Path(folder) / PLUGIN)
    where = f"the folders of LAMMPS_PLUGIN_PATH ({os.pathsep.join(folders)})" if folders else "LAMMPS_PLUGIN_PATH"
    advice = f"Give the plugin with --plugin FILE, or set LAMMPS_PLUGIN_PATH to the folder that holds {PLUGIN}."
    raise CheckError("plugin", f"expected {PLUGIN} in {where}, found none", advice)


def read_plugin(path: str) -> Plugin:
    """Read the settings from the file's bytes: a plugin that does not fit must not be loaded to be asked."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CheckError("plugin", f"{path}: {error.strerror}", "Give the plugin's file with --plugin FILE.") from error
    match = re.search(rb"mlff-settings:version=([^;]*);sizes=([^;]*);mpi=([^;]*);libtorch=([^;]*);end", content)
    if match is None:
        raise CheckError("plugin", f"{path} is not a plugin of pair_style mlff", f"Give {PLUGIN} with --plugin FILE.")
    return Plugin(path, *(group.decode() for group in match.groups()))


def plugin_finding(lammps: Lammps, plugin: Plugin) -> Finding:
    text = f"compiled for LAMMPS {plugin.version}, {plugin.sizes}, {plugin.path}"
    if plugin.version != lammps.version:
        return Finding("plugin", f"{text}; this LAMMPS is {lammps.version}", REBUILD)
    if plugin.sizes != lammps.sizes:
        return Finding("plugin", f"{text}; this LAMMPS is {lammps.sizes}", REBUILD)
    if not os.path.basename(plugin.path).endswith("plugin.so"):
        advice = f"Rename it to {PLUGIN}, or load it with the command 'plugin load'."
        return Finding("plugin", f"{text}; LAMMPS_PLUGIN_PATH finds only names that end in plugin.so", advice)
    return Finding("plugin", text)


# ---------------------------------------------------------------- libraries


@dataclass(frozen=True)
class Libraries:
    """What the dynamic loader finds for a file: path by name, and what it cannot find."""

    found: dict[str, str]
    problems: tuple[str, ...]

    def path(self, stem: str) -> str | None:
        return next((path for name, path in self.found.items() if name.startswith(f"{stem}.so")), None)


def shared_libraries(path: str) -> Libraries:
    try:
        result = subprocess.run(["ldd", path], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Libraries({}, (f"ldd {path}: {error}",))
    return parse_ldd(result.stdout + "\n" + result.stderr)


def parse_ldd(text: str) -> Libraries:
    found = dict(re.findall(r"^\s*(\S+) => (/.*?) \(0x", text, re.MULTILINE))
    missing = [f"{name} not found" for name in re.findall(r"^\s*(\S+) => not found", text, re.MULTILINE)]
    versions = re.findall(r"(version `\S+' not found \(required by [^)]*\))", text)
    return Libraries(found, tuple(dict.fromkeys(missing + versions)))


def missing_libraries(libraries: Libraries) -> list[Finding]:
    """Faults of the loader; those of LibTorch are told by `libtorch_finding`."""
    others = [text for text in libraries.problems if not text.startswith(("libtorch", "libc10"))]
    if not others:
        return []
    advice = "Install what is missing, or load the modules with which the plugin was built."
    return [Finding("libraries", "; ".join(others), advice)]


def mpi_finding(lammps: Lammps, plugin: Plugin, libraries: Libraries) -> Finding:
    text = f"LAMMPS: {lammps.mpi}; plugin: {plugin.mpi}"
    ours = mpi_family(plugin.mpi)
    if "stubs" in (ours, lammps.mpi_family) and ours != lammps.mpi_family:
        return Finding("MPI", text, REBUILD)
    if ours and lammps.mpi_family and ours != lammps.mpi_family:
        return Finding("MPI", text, "Load the MPI that LAMMPS was built with and build the plugin again.")
    theirs = shared_libraries(lammps.path).path("libmpi")
    mine = libraries.path("libmpi")
    if theirs and mine and os.path.realpath(theirs) != os.path.realpath(mine):
        advice = "Build the plugin with the MPI of this LAMMPS (-D MPI_CXX_COMPILER=...)."
        return Finding("MPI", f"LAMMPS loads {theirs}, the plugin {mine}", advice)
    return Finding("MPI", text)


def libtorch_finding(plugin: Plugin, libraries: Libraries) -> Finding:
    if not plugin.libtorch:
        text = "none in this plugin: it can run no student"
        return Finding("LibTorch", text, "Build the plugin again, with -D MLFF_ENABLE_TORCH=ON.")
    path = libraries.path("libtorch_cpu")
    if path is None or libraries.path("libc10") is None:
        text = f"expected {plugin.libtorch}, with which the plugin was built; the loader does not find it"
        return Finding("LibTorch", text, "Install that version (pip install torch), or build the plugin again.")
    found = libtorch_version(Path(path).parent.parent)
    text = f"{found or 'version unknown'}, {path}"
    if found and found.split(".")[:2] != plugin.libtorch.split(".")[:2]:
        text += f"; the plugin was built with {plugin.libtorch}"
        return Finding("LibTorch", text, f"Install LibTorch {plugin.libtorch}, or build the plugin with this one.")
    return Finding("LibTorch", text)


def libtorch_version(folder: Path) -> str:
    """The version of a LibTorch, from the header of a wheel or of a plain folder."""
    for header in ("include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"):
        if (folder / header).is_file():
            text = (folder / header).read_text()
            numbers = re.findall(r"^#define TORCH_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text, re.MULTILINE)
            if len(numbers) == 3:
                return ".".join(numbers)
    return ""


def cuda_finding(libraries: Libraries) -> Finding:
    """For information: the host style uses no GPU."""
    torch = libraries.path("libtorch_cpu")
    built = torch is not None and (Path(torch).parent / "libtorch_cuda.so").exists()
    text = f"LibTorch {'with' if built else 'without'} CUDA; {gpu()}; pair_style mlff runs on CPUs and needs none"
    return Finding("CUDA", text)


def gpu() -> str:
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        result = subprocess.run(query, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return "no GPU seen"
    lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    return f"GPU {', driver '.join(lines[0].split(', '))}" if result.returncode == 0 and lines else "no GPU seen"


# ---------------------------------------------------------------- the self-test

# No symmetry: exchanged axes or atoms show.
MOLECULE: Sequence[tuple[str, tuple[float, float, float]]] = (
    ("O", (0.03, -0.02, 0.01)),
    ("H", (0.95, 0.11, -0.21)),
    ("H", (-0.31, 0.87, 0.28)),
)

INPUT = """\
plugin load {plugin}
units metal
boundary f f f
region box block -8 8 -8 8 -8 8
create_box 2 box
{atoms}
mass 1 1.008
mass 2 15.999
pair_style mlff precision fp64
pair_coeff * * student.pt H O
thermo_style custom step pe
thermo_modify format float %.16g
dump 1 all custom 1 dump.txt id fx fy fz
dump_modify 1 sort id format float %.16g
run 0
"""


def self_test(lammps: Lammps, plugin: Plugin) -> Finding:
    """A water molecule and a small student with random weights: LAMMPS must give what the Python package gives."""
    advice = "Report it, with the output of this command: everything above fits, so this is a fault of the plugin."
    with tempfile.TemporaryDirectory(prefix="mlff-doctor-") as name:
        folder = Path(name)
        try:
            expected_energy, expected_forces = python_result(folder / "student.pt")
        except (ImportError, OSError) as error:  # OSError: a library of torch's does not load
            text = f"Python's part does not work: {error}"
            return Finding("self-test", text, "Repair this Python's torch, ase and matscipy (pip install).")
        try:
            energy, forces = lammps_result(folder, lammps, plugin)
        except CheckError as error:
            return error.finding
    expected = [x for force in expected_forces for x in force]
    found = [x for force in forces for x in force]
    if len(found) != len(expected) or not all(map(math.isfinite, [energy, *found])):
        text = f"water molecule: energy {energy} eV, forces {forces}; expected finite numbers for three atoms"
        return Finding("self-test", text, advice)
    largest = max(map(abs, expected))
    off_balance = max(abs(sum(axis)) for axis in zip(*forces, strict=True))
    difference = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    # Both sides compute in fp64, where sums over three atoms in another order differ by some 1e-15 of their size, and
    # 16 digits are printed; 1e-10 leaves room for that and for no fault.
    tolerance = 1e-10
    text = f"water molecule: energy {energy:.6f} eV, forces differ from Python's by {difference / largest:.1e}"
    if off_balance > tolerance * largest:
        return Finding("self-test", f"{text}, and their sum is {off_balance:.1e} eV/Å instead of 0", advice)
    if abs(energy - expected_energy) > tolerance * abs(expected_energy) or difference > tolerance * largest:
        return Finding("self-test", f"{text}; Python's energy is {expected_energy:.6f} eV", advice)
    return Finding("self-test", text)


def python_result(path: Path) -> tuple[float, list[list[float]]]:
    """Write the student; its energy and forces by the Python package."""
    import torch
    from ase import Atoms

    from .model_file import save_model
    from .painn import PaiNN
    from .student import Student

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = PaiNN(["H", "O"], [1, 8], 16, 2, 8, 5.0, [-1.0, -2.0], [0.31, 0.66])
    save_model(model, path, "doctor")
    atoms = Atoms([symbol for symbol, _ in MOLECULE], [position for _, position in MOLECULE])
    (prediction,) = Student(path, "cpu", "fp64", "brute").predict([atoms])
    return float(prediction.energy), [[float(x) for x in force] for force in prediction.forces]


def lammps_result(folder: Path, lammps: Lammps, plugin: Plugin) -> tuple[float, list[list[float]]]:
    """Energy and forces by LAMMPS, from the student in `folder`."""
    atoms = "\n".join(f"create_atoms {'HO'.index(symbol) + 1} single {x} {y} {z}" for symbol, (x, y, z) in MOLECULE)
    (folder / "in.doctor").write_text(INPUT.format(plugin=plugin.path, atoms=atoms))
    environment = {name: value for name, value in os.environ.items() if name != "LAMMPS_PLUGIN_PATH"}
    environment["OMP_NUM_THREADS"] = "1"
    command = [lammps.path, "-in", "in.doctor", "-log", "none", "-nocite"]
    try:
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired as error:
        text = "LAMMPS did not finish a water molecule in two minutes"
        raise CheckError("self-test", text, "Run the command on a compute node, not in a job's launcher.") from error
    output = result.stdout + result.stderr
    if result.returncode:
        signs = ("ERROR", "WARNING: pair_style mlff", "Open of file")
        words = [line.strip() for line in output.splitlines() if line.startswith(signs)]
        text = " ".join(words) or f"LAMMPS ended with status {result.returncode}: {output.strip()[-200:]}"
        raise CheckError("self-test", text, "Mend what LAMMPS names, and ask again.")
    match = re.search(r"^\s*0\s+(\S+)\s*$", output, re.MULTILINE)
    if match is None:
        raise CheckError("self-test", "LAMMPS printed no energy", "Report it, with the output of this command.")
    rows = (folder / "dump.txt").read_text().splitlines()[9:]
    return float(match[1]), [[float(x) for x in row.split()[1:]] for row in rows]
