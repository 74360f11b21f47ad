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
    parser.add_argument("file", metavar="FILE", help="a student (.pt)")


def add_configuration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("configuration", metavar="CONFIG", help="the run's configuration file")


def add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint written by 'mlff train'")
    parser.add_argument("out", metavar="FILE", help="the student to write (.pt)")
    parser.add_argument("--name", help="name in the header (default: that of FILE without .pt)")


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
        "write a checkpoint as a student for LAMMPS and ASE",
        add_export,
        lambda a: task("export").run(a.checkpoint, a.out, a.name),
    ),
    "doctor": Command(
        "check a LAMMPS, its plugin and their libraries before any run",
        lambda parser: task("doctor").add_arguments(parser),
        lambda a: task("doctor").run(a),
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
