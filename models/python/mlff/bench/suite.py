"""What is measured, in which order: the parts of the suite, and the command line that chooses among them."""

from __future__ import annotations

import argparse
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from . import drift, lammps_engine, machine, neighbor_search, picture, python_engines
from .lammps_engine import JIT, PRECISIONS, Lammps
from .process import Clock, RefusedError, StoppedError, in_child
from .python_engines import ENGINES
from .results import Results, Row, compare, describe, table
from .students import BenchStudent, make_student
from .systems import CELL_ATOMS, MOLECULES, System, make_system

__all__ = ["add_arguments", "run"]

log = logging.getLogger("mlff")

CHECKOUT = Path(__file__).resolve().parents[4]
PARTS = ("python", "lammps", "neighbors", "drift")
SIZES = (*MOLECULES, *(CELL_ATOMS * copies for copies in (1, 8, 64, 512)))
NO_TABLE = ("fp32:freeze", "bf16:freeze")  # measured where no table says what is best
MOST_ATOMS = 100_000_000  # where --largest ends: LAMMPS's neighbor lists have 32-bit sizes


def words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def sizes(text: str) -> list[int]:
    return [int(word) for word in words(text)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    every = ", ".join(map(str, SIZES))
    add = parser.add_argument
    add("out", metavar="OUT.json", help="results; the picture is OUT.png, and OUT.work holds what runs leave behind")
    add("--resume", action="store_true", help="go on with OUT.json if there is one: measure only rows that it lacks")
    add("--retry", action="store_true", help="with --resume: measure rows again that have a reason instead of numbers")
    add("--compare", metavar="OLD.json", help="report rows that are slower than there; exit code 1 when there are any")
    add("--percent", type=float, default=10.0, help="with --compare: slower by more than this (default: 10)")
    add("--picture-only", action="store_true", help="measure nothing: draw OUT.png from OUT.json, and --compare")
    add("--parts", type=words, default=list(PARTS), help=f"which of {','.join(PARTS)} (default: all)")
    add(
        "--students",
        type=words,
        default=["small", "medium", "large"],
        help="shipped ones by name (small, medium), random weights of a named size (large, tiny), or files that end in "
        ".pt (default: small,medium,large)",
    )
    add(
        "--sizes", type=sizes, default=list(SIZES), help=f"atoms: {every}, or 192 times a power of 2 (default: {every})"
    )
    add("--table-student", help="student of the full tables and of the drift (default: medium, else the first)")
    add("--table-sizes", type=sizes, default=[192, 12288], help="sizes with full tables (default: 192,12288)")
    add(
        "--engines",
        type=words,
        default=list(ENGINES),
        help=f"Python engines of the tables (default: {','.join(ENGINES)})",
    )
    add("--precisions", type=words, default=list(PRECISIONS), help="of LAMMPS's tables and the drift (default: all)")
    add("--jit", type=words, default=list(JIT), help="of LAMMPS's tables (default: all)")
    add("--everywhere", action="store_true", help="full tables for every student and size")
    add("--best", type=words, help="precision:jit of LAMMPS outside the tables (default: the best two of the table)")
    add("--largest", action="store_true", help="LAMMPS also at doubled sizes until one fails, with the best choice")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="of the Python engines (default: cpu)")
    add("--lmp", help="LAMMPS (default: lmp in PATH)")
    add("--plugin-dir", help="folder of mlffplugin.so (default: as LAMMPS finds it)")
    add("--lammps-flags", help="words for LAMMPS (default: '-k on g 1 -sf kk' with --device cuda, else none)")
    add("--seconds", type=float, default=5.0, help="measured time of a row (default: 5)")
    add("--longest", type=float, default=600.0, help="seconds after which a row is given up (default: 600)")
    add("--limit", type=float, help="seconds after which the command stops, to be gone on with by --resume")
    add("--drift-picoseconds", type=float, default=20.0, help="length of the drift's runs (default: 20)")
    add("--drift-jit", choices=JIT, default="freeze", help="jit of the drift's runs (default: freeze)")
    add("--concurrent", action="store_true", help="the drift's runs of all precisions at the same time")
    add("--potentials", type=Path, default=CHECKOUT / "potentials", help="folder of water-NAME.pt")
    add("--water", type=Path, default=CHECKOUT / "examples" / "water" / "water.data", help="cell of 192 atoms")
    add("--commit", help="name of the version that is measured (default: as git says)")


def run(arguments: argparse.Namespace) -> int:
    """Measure, draw and compare; the exit code is 1 for regressions, and where a picture alone cannot be drawn."""
    check(arguments)
    old = Results.read(arguments.compare) if arguments.compare else None
    out = Path(arguments.out)
    going_on = arguments.picture_only or (arguments.resume and out.exists())
    results = Results.read(out) if going_on else Results(out)
    if not arguments.picture_only:
        Suite(arguments, results).run()
        print(table(results.rows))
    drawn = True
    try:
        picture.draw(results, out.with_suffix(".png"))
        log.info("wrote %s", out.with_suffix(".png"))
    except ImportError as error:
        drawn = False
        log.warning("no picture: it needs matplotlib (%s). Draw it elsewhere with --picture-only.", error)
    lines, regressed = compare(results, old, arguments.percent) if old is not None else ([], False)
    print("\n".join(lines), end="\n" if lines else "")
    return int(regressed or (arguments.picture_only and not drawn))


def check(arguments: argparse.Namespace) -> None:
    """Refuse, in a sentence, what cannot be meant."""
    out = Path(arguments.out)
    if out.suffix != ".json":
        raise ValueError(f"'mlff bench': expected a name for the results that ends in .json, found {out}")
    if out.exists() and not (arguments.resume or arguments.picture_only):
        raise ValueError(f"{out}: expected a new file, found one that exists. Add --resume, or give another name.")
    for option, known in (("parts", PARTS), ("engines", ENGINES), ("precisions", PRECISIONS), ("jit", JIT)):
        for word in getattr(arguments, option):
            if word not in known:
                raise ValueError(f"--{option}: expected some of {', '.join(known)}, found {word!r}")
    for choice in arguments.best or []:
        precision, _, jit = choice.partition(":")
        if precision not in PRECISIONS or jit not in JIT:
            raise ValueError(
                f"--best: expected precision:jit out of {', '.join(PRECISIONS)} and {', '.join(JIT)}, found {choice!r}"
            )
    if not out.parent.is_dir():
        raise ValueError(f"{out}: expected a folder {out.parent} to write to, found none. Make it.")


class Suite:
    """The rows that the arguments ask for, measured one after the other into ``results``."""

    def __init__(self, arguments: argparse.Namespace, results: Results) -> None:
        self.given, self.results = arguments, results
        self.clock = Clock(arguments.limit, arguments.longest)
        flags = arguments.lammps_flags
        if flags is None:
            flags = "-k on g 1 -sf kk" if arguments.device == "cuda" else ""
        lmp = shutil.which(arguments.lmp or "lmp")
        if arguments.lmp and lmp is None:
            raise ValueError(f"--lmp: expected a LAMMPS executable, found none at {arguments.lmp}")
        plugin_dir = arguments.plugin_dir and str(Path(arguments.plugin_dir).resolve())
        if plugin_dir and "kk" in flags.split() and not Path(plugin_dir, "mlffkkplugin.so").exists():
            raise ValueError(
                f"--plugin-dir: expected mlffkkplugin.so for {flags!r}, found none in {plugin_dir}. LAMMPS would run "
                "on the CPU. Build the plugin with -D MLFF_BUILD_KOKKOS=ON."
            )
        self.lammps = Lammps(lmp and str(Path(lmp).resolve()), plugin_dir, flags)
        self.work = results.path.with_suffix(".work").resolve()
        if not arguments.resume:
            shutil.rmtree(self.work / "drift", ignore_errors=True)
        self.work.mkdir(exist_ok=True)
        self.systems: dict[int, System] = {}
        self.references: dict[tuple[str, str], np.ndarray] = {}
        self.students: dict[str, BenchStudent] = {}
        self.table_student = ""

    def prepare(self) -> None:
        """Make the students, and note machine and versions."""
        for name in self.given.students:
            student = make_student(name, self.given.potentials, self.work, self.clock)
            self.students[student.name] = student
        names = list(self.students)
        self.table_student = self.given.table_student or ("medium" if "medium" in names else names[0])
        if self.table_student not in names:
            raise ValueError(f"--table-student: expected one of {', '.join(names)}, found {self.table_student!r}")
        self.results.use_setting(machine.describe(self.lammps, self.given.device, self.given.commit, self.clock))
        self.results.students |= {name: student.describe() for name, student in self.students.items()}

    def run(self) -> None:
        """All parts; ends early, with a message, when the time of ``--limit`` is over."""
        try:
            self.prepare()
            for part in self.given.parts:
                getattr(self, f"measure_{part}")()
        except StoppedError:
            log.warning("stopped after --limit %g s. Go on with --resume.", self.given.limit)

    # ---------------------------------------------------------------- one row

    def row(
        self, part: str, student: str, atoms: int, engine: str, precision: str | None, jit: str | None,
        work: Callable[[], Row],
    ) -> Row:  # fmt: skip
        """Measure a row unless it is there. One that is refused or fails has the reason instead of numbers."""
        in_lammps = engine == "lammps"
        key = {
            "part": part, "student": student, "atoms": atoms, "engine": engine, "precision": precision, "jit": jit,
            "device": self.lammps.device if in_lammps else "cpu" if part == "neighbors" else self.given.device,
            "flags": self.lammps.flags if in_lammps else "",
        }  # fmt: skip
        there = self.results.find(key)
        if there is not None and (there["reason"] is None or not self.given.retry):
            return there
        self.clock.check()
        start = time.monotonic()
        try:
            values = work()
        except RefusedError as refusal:
            values = {"reason": str(refusal).replace(f"{self.work}/", "")}  # results are shown, this machine is not
        values["took_s"] = round(time.monotonic() - start, 1)
        row = self.results.add(key, values)
        said = row["reason"] or (f"{row['ms']:.4g} ms" if row.get("ms") else "done")
        log.info("%s: %s", describe(row), said)
        return row

    def system(self, atoms: int) -> System:
        if atoms not in self.systems:
            self.systems[atoms] = make_system(atoms, self.given.water)
        return self.systems[atoms]

    def reference(self, student: BenchStudent, system: System) -> np.ndarray:
        """Forces of the system's cell in double precision."""
        name = (student.name, str(len(system.symbols)))
        if name not in self.references:
            self.references[name] = in_child(self.clock, python_engines.cell_forces, str(student.file), system)
        return self.references[name]

    def in_table(self, student: BenchStudent, atoms: int) -> bool:
        table_of = student.name == self.table_student and atoms in self.given.table_sizes
        return bool(table_of or self.given.everywhere)

    def cases(self) -> Iterator[tuple[BenchStudent, int]]:
        """Students and sizes, those with full tables first: these tell what is best elsewhere."""
        cases = [(student, atoms) for student in self.students.values() for atoms in self.given.sizes]
        yield from sorted(cases, key=lambda case: not self.in_table(*case))

    # ---------------------------------------------------------------- the parts

    def measure_python(self) -> None:
        device = self.given.device
        for student, atoms in self.cases():
            for engine in self.given.engines if self.in_table(student, atoms) else ENGINES[:1]:
                precision = python_engines.precision_of(engine, device)

                def work(student: BenchStudent = student, atoms: int = atoms, engine: str = engine) -> Row:
                    precision, package = python_engines.precision_of(engine, device), None
                    if "aot" in engine:
                        package = student.compile(self.clock, device, precision)
                    system = self.system(atoms)
                    reference = self.reference(student, system)
                    call = (str(student.file), system, engine, device, package, self.given.seconds, reference)
                    row: Row = in_child(self.clock, python_engines.measure, *call)
                    return row

                self.row("python", student.name, atoms, engine, precision, None, work)

    def measure_lammps(self) -> None:
        for student, atoms in self.cases():
            table_here = self.in_table(student, atoms)
            choices = (
                [f"{p}:{j}" for p in self.given.precisions for j in self.given.jit] if table_here else self.best(atoms)
            )
            for choice in choices:
                self.lammps_row(student, atoms, choice)
        if self.given.largest:
            for student in self.students.values():
                atoms = max([CELL_ATOMS // 2, *(size for size in self.given.sizes if size not in MOLECULES)])
                while 2 * atoms <= MOST_ATOMS:
                    atoms *= 2
                    if self.lammps_row(student, atoms, self.best(atoms)[0])["reason"] is not None:
                        break

    def lammps_row(self, student: BenchStudent, atoms: int, choice: str) -> Row:
        precision, _, jit = choice.partition(":")

        def work() -> Row:
            system = self.system(atoms)
            reference, folder = self.reference(student, system), self.work / "lammps"
            return lammps_engine.measure(
                self.lammps, student, system, precision, jit, self.given.seconds, reference, folder, self.clock
            )

        return self.row("lammps", student.name, atoms, "lammps", precision, jit, work)

    def best(self, atoms: int) -> list[str]:
        """The fastest two precision:jit of the full table of a size that is nearest to this one."""
        if self.given.best:
            return list(self.given.best)
        table = [
            row
            for row in self.results.rows
            if row["part"] == "lammps" and row["reason"] is None and row["flags"] == self.lammps.flags
            if row["student"] == self.table_student and row["atoms"] in self.given.table_sizes
        ]
        if not table:
            return list(NO_TABLE)
        nearest = min({row["atoms"] for row in table}, key=lambda size: abs(np.log(size / atoms)))
        rows = sorted((row for row in table if row["atoms"] == nearest), key=lambda row: row["ms"])
        return [f"{row['precision']}:{row['jit']}" for row in rows[:2]]

    def measure_neighbors(self) -> None:
        student = min(self.students.values(), key=lambda s: s.file.stat().st_size)  # LAMMPS's steps need one
        for atoms in (size for size in self.given.sizes if size not in MOLECULES):
            for method in neighbor_search.METHODS:

                def search(method: str = method, atoms: int = atoms) -> Row:
                    call = (method, self.system(atoms), self.given.seconds)
                    row: Row = in_child(self.clock, neighbor_search.measure, *call)
                    return row

                self.row("neighbors", "", atoms, method, None, None, search)

            def rebuild(atoms: int = atoms) -> Row:
                folder = self.work / "lammps"
                return lammps_engine.measure_rebuild(self.lammps, student, self.system(atoms), folder, self.clock)

            self.row("neighbors", "", atoms, "lammps", None, None, rebuild)

    def measure_drift(self) -> None:
        student, jit = self.students[self.table_student], self.given.drift_jit

        def measure(precision: str) -> Any:
            def work() -> Row:
                if jit == "aot":
                    student.compile(self.clock, self.lammps.device, precision)
                folder = self.work / "drift" / f"{student.name}-{self.lammps.device}-{precision}-{jit}"
                length = self.given.drift_picoseconds
                return drift.measure(
                    self.lammps, student, self.system(CELL_ATOMS), precision, jit, length, folder, self.clock
                )

            return self.row("drift", student.name, CELL_ATOMS, "lammps", precision, jit, work)

        if not self.given.concurrent:
            for precision in self.given.precisions:
                measure(precision)
            return
        with ThreadPoolExecutor(len(self.given.precisions)) as pool:
            for finished in [pool.submit(measure, precision) for precision in self.given.precisions]:
                finished.result()
