"""The benchmark suite, ``mlff bench``: speed, memory, force error and drift of students, as JSON and a picture.

One noun a file: `suite` (what is measured, in which order), `systems`, `students`, `python_engines`, `lammps_engine`,
`neighbor_search`, `drift`, `process` (each row is measured in a process of its own), `machine`, `results`, `picture`.
doc/benchmarking.md says how to run it and what each column means.
"""

from .suite import add_arguments, run

__all__ = ["add_arguments", "run"]
