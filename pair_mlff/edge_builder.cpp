#include "edge_builder.h"

#include "atom.h"
#include "domain.h"
#include "neigh_list.h"
#include "neighbor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

using namespace LAMMPS_NS;

EdgeBuilder::EdgeBuilder(LAMMPS *lmp, std::vector<int> element_of_type, double cutoff, double length_unit) :
    Pointers(lmp), element_of_type_(std::move(element_of_type)), cutoff_(cutoff), length_unit_(length_unit)
{
}

void EdgeBuilder::rebuild(const NeighList &list, std::vector<int> owner)
{
  owner_ = std::move(owner);
  row_of_atom_.assign(atom->nlocal, -1);
  first_candidate_.assign(1, 0);
  candidate_.clear();
  for (int row = 0; row < list.inum; ++row) {
    const int i = list.ilist[row];
    row_of_atom_[i] = row;
    const auto begin = candidate_.size();
    for (int n = 0; n < list.numneigh[i]; ++n) candidate_.push_back(list.firstneigh[i][n] & NEIGHMASK);
    sort_row(candidate_.data() + begin, candidate_.data() + candidate_.size());
    first_candidate_.push_back(static_cast<int>(candidate_.size()));
  }
}

// By owner's tag; images of one atom, which differ by whole lattice vectors, by these vectors.
void EdgeBuilder::sort_row(int *begin, int *end) const
{
  const tagint *tag = atom->tag;
  std::sort(begin, end, [&](int a, int b) { return tag[a] < tag[b]; });

  const double *const *x = atom->x;
  const double *h = domain->h_inv;
  const auto shift = [&](int from, int to) {
    const double d[3] = {x[to][0] - x[from][0], x[to][1] - x[from][1], x[to][2] - x[from][2]};
    return std::array<long, 3>{std::lround(h[0] * d[0] + h[5] * d[1] + h[4] * d[2]),
                               std::lround(h[1] * d[1] + h[3] * d[2]), std::lround(h[2] * d[2])};
  };
  for (int *same = begin; same != end;) {
    int *next = std::find_if(same, end, [&](int j) { return tag[j] != tag[*same]; });
    if (next - same > 1) {
      const int first = *same;
      std::sort(same, next, [&](int a, int b) { return shift(first, a) < shift(first, b); });
    }
    same = next;
  }
}

mlff::EdgeList EdgeBuilder::edges()
{
  number_nodes();
  fill_rows();
  const int num_centers = static_cast<int>(atom_of_center_.size());
  return {num_centers,
          num_centers,
          static_cast<int>(element_.size()),
          static_cast<int>(neighbor_.size()),
          element_.data(),
          first_edge_.data(),
          neighbor_.data(),
          rij_.data()};
}

int EdgeBuilder::absent_mask(const Neighbor &neighbor)
{
  constexpr int GROUP_ALL = 0;
  int mask = 0;
  for (int n = 0; n < neighbor.nex_group; ++n) {
    if (neighbor.ex2_group[n] == GROUP_ALL) mask |= neighbor.ex1_bit[n];
    if (neighbor.ex1_group[n] == GROUP_ALL) mask |= neighbor.ex2_bit[n];
  }
  return mask;
}

// Types are read at every step: fix atom/swap changes them without re-neighboring.
void EdgeBuilder::number_nodes()
{
  const int num_atoms = atom->nlocal + atom->nghost;
  const int absent = absent_mask(*neighbor);
  node_of_atom_.assign(num_atoms, -1);
  atom_of_center_.clear();
  element_.clear();
  for (int i = 0; i < num_atoms; ++i) {
    const int element = element_of_type_[atom->type[i]];
    if (element < 0 || (atom->mask[i] & absent)) continue;
    if (i >= atom->nlocal && !owner_.empty()) {
      node_of_atom_[i] = node_of_atom_[owner_[i]];
      continue;
    }
    node_of_atom_[i] = static_cast<int>(element_.size());
    element_.push_back(element);
    if (i < atom->nlocal) atom_of_center_.push_back(i);
  }
}

void EdgeBuilder::fill_rows()
{
  const double *const *x = atom->x;
  const double cutoff_squared = cutoff_ * cutoff_;
  first_edge_.assign(1, 0);
  neighbor_.clear();
  rij_.clear();
  for (const int i : atom_of_center_) {
    const int row = row_of_atom_[i];
    const int begin = row < 0 ? 0 : first_candidate_[row], end = row < 0 ? 0 : first_candidate_[row + 1];
    for (int n = begin; n < end; ++n) {
      const int j = candidate_[n];
      if (node_of_atom_[j] < 0) continue;
      const double dx = (x[j][0] - x[i][0]) * length_unit_;
      const double dy = (x[j][1] - x[i][1]) * length_unit_;
      const double dz = (x[j][2] - x[i][2]) * length_unit_;
      if (dx * dx + dy * dy + dz * dz >= cutoff_squared) continue;
      neighbor_.push_back(node_of_atom_[j]);
      rij_.insert(rij_.end(), {dx, dy, dz});
    }
    first_edge_.push_back(static_cast<int>(neighbor_.size()));
  }
}

double EdgeBuilder::memory_usage() const
{
  std::size_t ints = 0;
  for (const auto *v : {&owner_, &row_of_atom_, &first_candidate_, &candidate_, &node_of_atom_, &atom_of_center_,
                        &element_, &first_edge_, &neighbor_})
    ints += v->capacity();
  return static_cast<double>(ints * sizeof(int) + rij_.capacity() * sizeof(double));
}
