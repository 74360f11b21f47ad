// From LAMMPS's full neighbor list to the graph that an engine receives.
#pragma once

#include "edge_list.h"

#include "pointers.h"

#include <vector>

namespace LAMMPS_NS {

class NeighList;
class Neighbor;

class EdgeBuilder : protected Pointers {
 public:
  // element_of_type[ntypes + 1]: the file's element index, -1 for types that the student does not see (NULL).
  // cutoff in Å; length_unit: Å per LAMMPS length.
  EdgeBuilder(LAMMPS *lmp, std::vector<int> element_of_type, double cutoff, double length_unit);

  // After each re-neighboring: copies the list, sorted within a row by (owner's tag, image), so that sums over
  // neighbors are taken in the same order on any number of ranks. owner[nlocal + nghost]: the local atom that a ghost
  // is an image of, where images are to be mapped to owners (one rank); empty: ghosts stay nodes of their own. Ghosts
  // that at most `halo` neighbors in a chain separate from an owned atom are centers; then the list has their rows.
  void rebuild(const NeighList &list, std::vector<int> owner, int halo);

  // Each step: nodes and edges at the current positions and types. Valid until the next call.
  mlff::EdgeList edges();

  // Row of each atom (owned, then ghosts), -1 for atoms that are no nodes; an image that is mapped to its owner has
  // the owner's. Valid after edges().
  const std::vector<int> &node_of_atom() const { return node_of_atom_; }
  // The atom of each center, owned ones first.
  const std::vector<int> &atom_of_center() const { return atom_of_center_; }

  double memory_usage() const;

  // Bits of the groups that are excluded against all atoms: their atoms are absent, as fix gcmc marks a trial deletion.
  // LAMMPS keeps them in the list, without neighbors.
  static int absent_mask(const Neighbor &neighbor);

 private:
  std::vector<int> distances(const NeighList &list, int halo) const;
  void order_ghosts(const std::vector<int> &distance, int halo);
  void sort_row(int *begin, int *end) const;
  void number_nodes();
  void fill_rows();

  std::vector<int> element_of_type_;
  double cutoff_, length_unit_;

  // of the last re-neighboring, all by LAMMPS's atom index
  std::vector<int> owner_;
  std::vector<int> row_of_atom_;    // -1: not in the list, or no center
  std::vector<int> ghost_;          // ghosts in the order of their nodes: those that are centers, others
  int num_ghost_centers_ = 0;
  std::vector<int> first_candidate_, candidate_;    // rows of the list with skin

  // of this step
  int num_owned_centers_ = 0;
  std::vector<int> node_of_atom_, atom_of_center_, element_, first_edge_, neighbor_;
  std::vector<double> rij_;
};

}    // namespace LAMMPS_NS
