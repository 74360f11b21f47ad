// How much memory the style takes an atom, and how many atoms would fit.
#pragma once

#include <mpi.h>

namespace mlff {

// Of all ranks together; zero where unknown.
struct MemoryNeed {
  double bytes_per_atom = 0.0;    // of the style, besides LAMMPS's own
  double atoms_that_fit = 0.0;    // with the memory that is free
};

// Of a rank: bytes that it takes, further bytes that it could have, atoms that it owns. Collective.
MemoryNeed memory_need(double bytes, double free_bytes, double atoms, MPI_Comm world);

// Ranks of `world` that share this rank's node. Collective.
int ranks_on_this_node(MPI_Comm world);

}    // namespace mlff
