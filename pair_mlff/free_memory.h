// How much memory this node still has for the ranks on it.
#pragma once

#include <mpi.h>

namespace mlff {

// Bytes that this process could still allocate without swapping: what the kernel calls available, or what is left below
// the limit of its control group (batch systems, containers), whichever is less. 0: unknown.
double free_bytes_of_node();

// Ranks of `world` that share this rank's node. Collective.
int ranks_on_this_node(MPI_Comm world);

}    // namespace mlff
