// The graph that an engine receives: a view that owns nothing. LAMMPS's atoms end here, the network begins here.
//
//   node      an owned or ghost atom that the student knows (mapped type, present); a row of features
//   center    a node whose neighbors are listed and whose energy is computed; nodes 0 .. num_centers-1.
//             num_owned_centers <= num_centers <= num_nodes; only the energies of owned centers count on this rank
//             (with a wide halo, ghosts are centers too)
//   edge      center i <- neighbor j with r_ij = r_j - r_i and |r_ij| < cutoff, strictly; both directions of a pair
//             are edges. Edges stand in rows, one row a center (compressed sparse rows)
//
// All arrays lie in the memory of the engine's device.
#pragma once

namespace mlff {

struct EdgeList {
  int num_owned_centers = 0;
  int num_centers = 0;
  int num_nodes = 0;
  int num_edges = 0;
  const int *element = nullptr;       // [num_nodes]        index into ModelFile::elements
  const int *first_edge = nullptr;    // [num_centers + 1]  edges of center c: first_edge[c] .. first_edge[c+1]-1
  const int *neighbor = nullptr;      // [num_edges]        node index j, sorted within a row by (owner's tag, image)
  const double *rij = nullptr;        // [num_edges][3]     Å
};

}    // namespace mlff
