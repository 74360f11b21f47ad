// From LAMMPS's full neighbor list to the graph that an engine receives, on the device: what EdgeBuilder does on the
// host, with the same order of rows and neighbors.
#pragma once

#include "edge_list.h"

#include "kokkos_type.h"
#include "neigh_list_kokkos.h"
#include "pointers.h"

#include <vector>

namespace LAMMPS_NS {

template <class DeviceType> class EdgeBuilderKokkos : protected Pointers {
 public:
  using Ints = Kokkos::View<int *, DeviceType>;

  // As EdgeBuilder.
  EdgeBuilderKokkos(LAMMPS *lmp, const std::vector<int> &element_of_type, double cutoff, double length_unit);

  // After each re-neighboring. owner[nlocal + nghost]: the local atom that a ghost is an image of, where images are to
  // be mapped to owners (one rank); empty: ghosts stay nodes of their own.
  void rebuild(const NeighListKokkos<DeviceType> &list, const Ints &owner);

  // Each step: nodes and edges at the current positions and types. Waits for the device once, for three counts. Valid
  // until the next call.
  mlff::EdgeList edges();

  const Ints &node_of_atom() const { return node_of_atom_; }
  const Ints &atom_of_center() const { return atom_of_center_; }

  double memory_usage() const;

  // Public for the lambdas in them.
  void sort_candidates(const NeighListKokkos<DeviceType> &list);
  void number_nodes();
  void count_edges();
  void fill_rows();

 private:
  double cutoff_, length_unit_;
  Ints element_of_type_;

  // of the last re-neighboring, by LAMMPS's atom index
  Ints owner_, row_of_atom_;
  Ints first_candidate_, candidate_;    // rows of the list with skin

  // of this step
  Ints node_of_atom_, atom_of_center_, element_, first_edge_, neighbor_;
  Ints counts_;    // centers, nodes, edges
  decltype(Kokkos::create_mirror_view(std::declval<Ints>())) counts_on_host_;
  Kokkos::View<double *[3], Kokkos::LayoutRight, DeviceType> rij_;
};

}    // namespace LAMMPS_NS
