// How much memory the style takes an atom, and how many atoms would fit.
#pragma once

#include <mpi.h>

namespace mlff {

// Of one rank.
struct MemoryUse {
  double bytes = 0.0;              // taken in a step
  double bytes_in_slices = 0.0;    // taken whatever the size of a slice, where a step is done in slices; 0: unknown
  double free_bytes = 0.0;         // further bytes that it could have
  double atoms = 0.0;              // that it owns
};

// Of all ranks together; zero where unknown.
struct MemoryNeed {
  double bytes_per_atom = 0.0;    // of the style, besides LAMMPS's own
  double atoms_that_fit = 0.0;    // into what is free
  double bytes_per_atom_in_slices = 0.0;
  double atoms_that_fit_in_slices = 0.0;
};

// Collective.
MemoryNeed memory_need(const MemoryUse &mine, MPI_Comm world);

}    // namespace mlff
