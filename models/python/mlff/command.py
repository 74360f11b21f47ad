"""The command ``mlff``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from . import __version__
from .model_file import ModelFileError

__all__ = ["main"]


def _info(arguments: argparse.Namespace) -> int:
    from .info import describe

    print(describe(arguments.file), end="")
    return 0


def _train(arguments: argparse.Namespace) -> int:
    from . import train

    train.run(arguments.config)
    return 0


def _distill(arguments: argparse.Namespace) -> int:
    from . import distill

    distill.run(arguments.config)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from . import export

    export.run(arguments.checkpoint, arguments.out, arguments.name)
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from . import doctor

    return doctor.run(arguments.lmp, arguments.plugin)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlff", description="Train, export and check students for pair_style mlff.")
    parser.add_argument("--version", action="version", version=f"mlff {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    info = commands.add_parser("info", help="print what a student's file says of itself")
    info.add_argument("file", help="a student (.pt)")
    info.set_defaults(run=_info)

    train = commands.add_parser("train", help="train a student; resumes where an earlier run stopped")
    train.add_argument("config", help="configuration of the run")
    train.set_defaults(run=_train)

    distill = commands.add_parser("distill", help="make the data with a teacher, train and export: the whole recipe")
    distill.add_argument("config", help="configuration of the recipe")
    distill.set_defaults(run=_distill)

    export = commands.add_parser("export", help="write a checkpoint of 'mlff train' as a student's file")
    export.add_argument("checkpoint")
    export.add_argument("out", help="the student to write (.pt)")
    export.add_argument("--name", help="its name in the header (default: the file's)")
    export.set_defaults(run=_export)

    doctor = commands.add_parser("doctor", help="compare a LAMMPS and the plugin before any run")
    doctor.add_argument("lmp", help="the LAMMPS executable")
    doctor.add_argument("--plugin", help="mlffplugin.so (default: found through LAMMPS_PLUGIN_PATH)")
    doctor.set_defaults(run=_doctor)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command; mistakes of the user end in one sentence and exit code 1."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    arguments = _parser().parse_args(words)
    try:
        return arguments.run(arguments)
    except (ModelFileError, OSError, ImportError, ValueError) as error:
        print(f"mlff: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
