"""The command ``mlff``: one subcommand a task, each a few lines that call the module of that task.

Modules are imported when their command runs, so that ``mlff --version`` is quick and a missing optional package is a
sentence of the command that needs it.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

from . import __version__

__all__ = ["main"]


@dataclass(frozen=True)
class Command:
    """A subcommand: its line in the help, the arguments it takes, and what runs it; an int from it is the exit code."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], object]


def task(name: str) -> ModuleType:
    """The module ``mlff.<name>``."""
    return importlib.import_module(f"{__package__}.{name}")


def add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a student (.pt), or one that is compiled (.pt2)")


def add_configuration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("configuration", metavar="CONFIG", help="the run's configuration file")


def add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="SOURCE", help="a checkpoint written by 'mlff train'; with --aot a student (.pt)"
    )
    parser.add_argument("out", metavar="FILE", nargs="?", help="the student to write (.pt); not with --aot")
    parser.add_argument("--name", help="name in the header (default: that of FILE without .pt)")
    parser.add_argument(
        "--aot",
        action="store_true",
        help="compile the student for 'jit aot' of LAMMPS: writes NAME.<device>-<precision>.pt2 beside it",
    )
    parser.add_argument("--device", help="with --aot: cpu or cuda (default: cpu)")
    parser.add_argument("--precision", help="with --aot: fp64, fp32, tf32, bf16 or fp16 (default: fp32)")


def run_export(arguments: argparse.Namespace) -> object:
    """A student of a checkpoint, or, with ``--aot``, a compiled student."""
    given = arguments.__dict__
    if arguments.aot:
        for option in ("out", "name"):
            if given[option] is not None:
                raise ValueError(
                    "'mlff export STUDENT.pt --aot' writes beside the student, under its name: expected no "
                    f"{'FILE' if option == 'out' else '--name'}, found {given[option]!r}. Leave it out."
                )
        return task("aot").run(arguments.source, arguments.device or "cpu", arguments.precision or "fp32")
    for option in ("device", "precision"):
        if given[option] is not None:
            raise ValueError(
                f"'mlff export': --{option} {given[option]} is for compiling a student; a student itself runs on every "
                "device in every precision. Leave it out, or add --aot."
            )
    if arguments.out is None:
        raise ValueError(
            f"'mlff export': expected CHECKPOINT and FILE, found only {arguments.source}. Name the student to write "
            "(.pt); to compile a finished student add --aot."
        )
    return task("export").run(arguments.source, arguments.out, arguments.name)


COMMANDS: dict[str, Command] = {
    "info": Command("print the card of a student", add_file, lambda a: task("info").run(a.file)),
    "train": Command(
        "train a student on labelled frames", add_configuration, lambda a: task("train").run(a.configuration)
    ),
    "distill": Command(
        "label frames with a teacher and train a student on them",
        add_configuration,
        lambda a: task("distill").run(a.configuration),
    ),
    "export": Command(
        "write a checkpoint as a student for LAMMPS and ASE, or compile a student",
        add_export,
        run_export,
    ),
    "wrap": Command(
        "write a module of your own as a student for LAMMPS and ASE",
        lambda parser: task("wrap").add_arguments(parser),
        lambda a: task("wrap").run(a),
    ),
    "doctor": Command(
        "check a LAMMPS, its plugin and their libraries before any run",
        lambda parser: task("doctor").add_arguments(parser),
        lambda a: task("doctor").run(a),
    ),
    "bench": Command(
        "measure speed, memory, force errors and drift of students, as JSON and a picture",
        lambda parser: task("bench").add_arguments(parser),
        lambda a: task("bench").run(a),
    ),
}


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser, with arguments for the chosen subcommand alone: they may be in a module that is not needed else."""
    parser = argparse.ArgumentParser(prog="mlff", description=sys.modules[__package__ or "mlff"].__doc__)
    parser.add_argument("--version", action="version", version=f"mlff {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.help, description=command.help)
        if name == chosen:
            command.add_arguments(subparser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; errors that a user can mend are one sentence on standard error, and exit code 1."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in words if not word.startswith("-")), None)
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger(__package__).setLevel(logging.INFO)
    try:
        parsed = build_parser(chosen).parse_args(words)
        code = COMMANDS[parsed.command].run(parsed)
        return code if isinstance(code, int) else 0
    except (OSError, ImportError, ValueError) as error:
        sentence = explain(error, chosen)
        if sentence is None:
            raise
        print(f"mlff: {sentence}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mlff: interrupted", file=sys.stderr)
        return 130


def explain(error: Exception, command: str | None) -> str | None:
    """A sentence for an error that a user can mend; None for a fault of ours, which needs its traceback."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith(f"{__package__}."):
        package = error.name.partition(".")[0]
        return f"'mlff {command}' needs the package {package}, which is not installed. Install it with pip."
    if isinstance(error, ImportError) or raised_here(error):
        return str(error)
    return None


def raised_here(error: Exception) -> bool:
    """Whether a line of this package raised it, and so wrote its sentence for users; other libraries' are faults."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return str(name).partition(".")[0] == __package__
