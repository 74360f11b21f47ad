"""Many short inputs in one process: LAMMPS as a library. As a program it runs cases from a file, for a parent to watch.

    python lammps_library.py CASES RESULTS LIBLAMMPS [FLAGS OF LAMMPS ...]

CASES: a JSON list of lists of commands. RESULTS: a line of JSON for each case, written when it has ended: the message
of the command that failed, or null. A case that hangs ends the process by SIGALRM, one that crashes by its own signal;
the case is the one after the last line.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
from pathlib import Path

MOST_SECONDS = 300  # of a case; the slowest takes one on a machine that is free


class LammpsLibrary:
    """One LAMMPS object; an error of a command is an exception."""

    def __init__(self, library: str, flags: list[str]) -> None:
        # plugins find LAMMPS's own functions among the global names
        self.c = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        self.c.lammps_open_no_mpi.restype = ctypes.c_void_p
        words = ["lmp", "-screen", "none", "-log", "none", "-nocite", *flags]
        arguments = (ctypes.c_char_p * len(words))(*(word.encode() for word in words))
        self.handle = ctypes.c_void_p(self.c.lammps_open_no_mpi(len(words), arguments, None))
        if not self.handle:
            raise RuntimeError(f"expected a LAMMPS object of {library}, found none")

    def command(self, text: str) -> None:
        self.c.lammps_command(self.handle, text.encode())
        if self.c.lammps_has_error(self.handle):
            buffer = ctypes.create_string_buffer(8192)
            self.c.lammps_get_last_error_message(self.handle, buffer, len(buffer))
            raise ValueError(buffer.value.decode(errors="replace"))

    def message_of(self, commands: list[str]) -> str | None:
        """Of the first command that fails; each case begins with a LAMMPS that knows nothing of the last."""
        self.command("clear")
        try:
            for text in commands:
                self.command(text)
        except ValueError as error:
            return str(error)
        return None


def main() -> None:
    cases, results, library, *flags = sys.argv[1:]
    lammps = LammpsLibrary(library, flags)
    with Path(results).open("w") as out:
        for commands in json.loads(Path(cases).read_text()):
            signal.alarm(MOST_SECONDS)
            out.write(json.dumps(lammps.message_of(commands)) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
