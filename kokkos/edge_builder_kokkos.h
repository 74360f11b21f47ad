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

  // After each re-neighboring, as EdgeBuilder. owner may be empty.
  void rebuild(const NeighListKokkos<DeviceType> &list, const Ints &owner, int halo);

  // Each step: nodes and edges at the current positions and types. Waits for the device once, for four counts. Valid
  // until the next call.
  mlff::EdgeList edges();

  const Ints &node_of_atom() const { return node_of_atom_; }
  const Ints &atom_of_center() const { return atom_of_center_; }

  double memory_usage() const;

  // Public for the lambdas in them.
  void measure_distances(const NeighListKokkos<DeviceType> &list);
  void order_atoms();
  void sort_candidates(const NeighListKokkos<DeviceType> &list);
  void number_nodes();
  void count_edges();
  void fill_rows();

 private:
  auto edges_of_atom() const;

  double cutoff_, length_unit_;
  Ints element_of_type_;

  // of the last re-neighboring
  int halo_ = 0, max_centers_ = 0;
  Ints owner_, row_of_atom_;            // by LAMMPS's atom index
  Ints distance_;                       // of each atom from the owned ones, in neighbors; halo + 1: more than halo
  Ints atom_;                           // in the order of their nodes: owned, ghosts that are centers, other ghosts
  Ints first_candidate_, candidate_;    // rows of the list with skin

  // of this step
  Ints node_of_atom_, atom_of_center_, element_, first_edge_, neighbor_;
  Ints counts_;    // owned centers, centers, nodes, edges
  decltype(Kokkos::create_mirror_view(std::declval<Ints>())) counts_on_host_;
  Kokkos::View<double *[3], Kokkos::LayoutRight, DeviceType> rij_;
};

}    // namespace LAMMPS_NS
