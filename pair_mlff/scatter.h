// From gradients on edges to forces and virials on atoms: one function for every engine that gives edge gradients.
#pragma once

#include "edge_list.h"

namespace mlff {

// Values an atom: force, or force and nine components of virial.
constexpr int FORCE_WIDTH = 3, FORCE_AND_VIRIAL_WIDTH = 12;

// r = r_j - r_i, g = dE/dr:   F_i += g,  F_j -= g,  virial -= r (x) g, half of it to each end.
// `virial` is sym xx yy zz xy xz yz, as LAMMPS orders it; per-atom virials have all nine components
// xx yy zz xy xz yz yx zx zy, where ab is r_a F_b.
struct Scatter {
  double *share;     // [num_nodes][width], is added to: force, then (width 12) nine components of virial
  int width;         // 3 or 12
  double *virial;    // [6], is added to; or null
};

void scatter_edges(const EdgeList &edges, const double *gradient, const Scatter &to);

}    // namespace mlff
