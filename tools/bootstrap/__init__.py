"""What the commands in tools/ share: obtain LAMMPS, Kokkos and LibTorch, build the plugin, run an example or the tests.

Python's standard library only: these files run before anything is installed.
"""
