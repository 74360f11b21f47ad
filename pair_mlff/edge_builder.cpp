#include "edge_builder.h"

#include "atom.h"
#include "domain.h"
#include "neigh_list.h"
#include "neighbor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

using namespace LAMMPS_NS;

EdgeBuilder::EdgeBuilder(LAMMPS *lmp, std::vector<int> element_of_type, double cutoff, double length_unit) :
    Pointers(lmp), element_of_type_(std::move(element_of_type)), cutoff_(cutoff), length_unit_(length_unit)
{
}

void EdgeBuilder::rebuild(const NeighList &list, std::vector<int> owner, int halo)
{
  owner_ = std::move(owner);
  const std::vector<int> distance = distances(list, halo);
  order_ghosts(distance, halo);
  row_of_atom_.assign(distance.size(), -1);
  first_candidate_.assign(1, 0);
  candidate_.clear();
  int num_rows = 0;
  for (int n = 0; n < list.inum + (halo > 0 ? list.gnum : 0); ++n) {
    const int i = list.ilist[n];
    if (distance[i] > halo) continue;
    row_of_atom_[i] = num_rows++;
    const auto begin = candidate_.size();
    for (int m = 0; m < list.numneigh[i]; ++m) candidate_.push_back(list.firstneigh[i][m] & NEIGHMASK);
    sort_row(candidate_.data() + begin, candidate_.data() + candidate_.size());
    first_candidate_.push_back(static_cast<int>(candidate_.size()));
  }
}

// Of each atom from the owned ones, in neighbors of the list; halo + 1 where it is more than `halo`.
std::vector<int> EdgeBuilder::distances(const NeighList &list, int halo) const
{
  std::vector<int> distance(atom->nlocal + atom->nghost, halo + 1);
  std::fill(distance.begin(), distance.begin() + atom->nlocal, 0);
  std::vector<int> reached(list.ilist, list.ilist + list.inum), next;
  for (int d = 1; d <= halo; ++d, reached.swap(next)) {
    next.clear();
    for (const int i : reached)
      for (int m = 0; m < list.numneigh[i]; ++m) {
        const int j = list.firstneigh[i][m] & NEIGHMASK;
        if (distance[j] <= d) continue;
        distance[j] = d;
        next.push_back(j);
      }
  }
  return distance;
}

void EdgeBuilder::order_ghosts(const std::vector<int> &distance, int halo)
{
  ghost_.resize(atom->nghost);
  std::iota(ghost_.begin(), ghost_.end(), atom->nlocal);
  const auto is_center = [&](int ghost) { return distance[ghost] <= halo; };
  num_ghost_centers_ =
      static_cast<int>(std::stable_partition(ghost_.begin(), ghost_.end(), is_center) - ghost_.begin());
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
  return {num_owned_centers_,
          static_cast<int>(atom_of_center_.size()),
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
  const int absent = absent_mask(*neighbor);
  const auto element_of = [&](int i) {    // -1: no node
    return atom->mask[i] & absent ? -1 : element_of_type_[atom->type[i]];
  };
  node_of_atom_.assign(atom->nlocal + atom->nghost, -1);
  atom_of_center_.clear();
  element_.clear();
  const auto number = [&](int i, bool is_center) {
    if (element_of(i) < 0) return;
    node_of_atom_[i] = static_cast<int>(element_.size());
    element_.push_back(element_of(i));
    if (is_center) atom_of_center_.push_back(i);
  };
  for (int i = 0; i < atom->nlocal; ++i) number(i, true);
  num_owned_centers_ = static_cast<int>(atom_of_center_.size());
  for (int n = 0; n < atom->nghost; ++n) {
    const int i = ghost_[n];
    if (owner_.empty())
      number(i, n < num_ghost_centers_);
    else if (element_of(i) >= 0)
      node_of_atom_[i] = node_of_atom_[owner_[i]];
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
  for (const auto *v : {&owner_, &row_of_atom_, &ghost_, &first_candidate_, &candidate_, &node_of_atom_,
                        &atom_of_center_, &element_, &first_edge_, &neighbor_})
    ints += v->capacity();
  return static_cast<double>(ints * sizeof(int) + rij_.capacity() * sizeof(double));
}
