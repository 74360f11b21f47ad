// What the ranks of a run have to agree on.
#pragma once

#include <mpi.h>

#include <string>

namespace mlff {

// Ranks of `world` that share this rank's node. Collective.
int ranks_on_this_node(MPI_Comm world);

// The largest of the ranks' values, on all. Collective.
double largest_over_ranks(double mine, MPI_Comm world);

// Throws Error on all ranks where a rank comes with a failure, an empty text being none: that of the first which has one.
// Collective.
void throw_together(const std::string &failure, MPI_Comm world);

}    // namespace mlff
