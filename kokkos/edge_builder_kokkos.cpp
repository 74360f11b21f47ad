#include "edge_builder_kokkos.h"

#include "edge_builder.h"
#include "grow.h"

#include "atom_kokkos.h"
#include "atom_masks.h"
#include "domain.h"
#include "neighbor.h"

using namespace LAMMPS_NS;

namespace {

// By the owner's tag; images of one atom, which differ by whole lattice vectors, by these vectors.
template <class Tags, class Positions> struct ImageOrder {
  Tags tag;
  Positions x;
  double h[6];    // LAMMPS's h_inv: xx yy zz yz xz xy

  KOKKOS_INLINE_FUNCTION bool before(int a, int b) const
  {
    if (tag(a) != tag(b)) return tag(a) < tag(b);
    const double d[3] = {x(b, 0) - x(a, 0), x(b, 1) - x(a, 1), x(b, 2) - x(a, 2)};
    const long shift[3] = {lround(h[0] * d[0] + h[5] * d[1] + h[4] * d[2]), lround(h[1] * d[1] + h[3] * d[2]),
                           lround(h[2] * d[2])};
    for (int k = 0; k < 3; ++k)
      if (shift[k] != 0) return shift[k] > 0;
    return false;
  }
};

}    // namespace

template <class DeviceType>
EdgeBuilderKokkos<DeviceType>::EdgeBuilderKokkos(LAMMPS *lmp, const std::vector<int> &element_of_type, double cutoff,
                                                 double length_unit) :
    Pointers(lmp),
    cutoff_(cutoff), length_unit_(length_unit), element_of_type_("mlff:element_of_type", element_of_type.size()),
    counts_("mlff:counts", 3), counts_on_host_(Kokkos::create_mirror_view(counts_))
{
  const Kokkos::View<const int *, Kokkos::HostSpace, Kokkos::MemoryUnmanaged> host(element_of_type.data(),
                                                                                   element_of_type.size());
  Kokkos::deep_copy(element_of_type_, host);
}

template <class DeviceType>
void EdgeBuilderKokkos<DeviceType>::rebuild(const NeighListKokkos<DeviceType> &list, const Ints &owner)
{
  owner_ = owner;
  sort_candidates(list);
}

// A place in the sorted row is the number of candidates that stand before; they are counted for each one at once.
template <class DeviceType> void EdgeBuilderKokkos<DeviceType>::sort_candidates(const NeighListKokkos<DeviceType> &list)
{
  const int rows = list.inum;
  grow(row_of_atom_, atom->nlocal, "mlff:row_of_atom");
  grow(first_candidate_, rows + 1, "mlff:first_candidate");
  Kokkos::deep_copy(row_of_atom_, -1);

  const auto ilist = list.d_ilist;
  const auto numneigh = list.d_numneigh;
  const auto neighbors = list.d_neighbors;
  const auto row_of_atom = row_of_atom_, first = first_candidate_;
  int total = 0;
  Kokkos::parallel_scan(
      "mlff:candidates", Kokkos::RangePolicy<DeviceType>(0, rows),
      KOKKOS_LAMBDA(int row, int &sum, bool last) {
        const int i = ilist(row);
        if (last) {
          row_of_atom(i) = row;
          first(row) = sum;
          first(row + 1) = sum + numneigh(i);
        }
        sum += numneigh(i);
      },
      total);
  grow(candidate_, total, "mlff:candidate");

  atomKK->k_tag.sync<DeviceType>();
  const auto candidate = candidate_;
  const double *h = domain->h_inv;
  const auto tag = atomKK->k_tag.view<DeviceType>();
  const auto x = atomKK->k_x.view<DeviceType>();
  const ImageOrder<std::decay_t<decltype(tag)>, std::decay_t<decltype(x)>> order{
      tag, x, {h[0], h[1], h[2], h[3], h[4], h[5]}};
  using Policy = Kokkos::TeamPolicy<DeviceType>;
  Kokkos::parallel_for(
      "mlff:sort_candidates", Policy(rows, Kokkos::AUTO), KOKKOS_LAMBDA(const typename Policy::member_type &team) {
        const int row = team.league_rank(), i = ilist(row), size = numneigh(i);
        Kokkos::parallel_for(Kokkos::TeamThreadRange(team, size), [&](int m) {
          const int j = neighbors(i, m) & NEIGHMASK;
          int place = 0;
          for (int n = 0; n < size; ++n) place += order.before(neighbors(i, n) & NEIGHMASK, j);
          candidate(first(row) + place) = j;
        });
      });
}

template <class DeviceType> mlff::EdgeList EdgeBuilderKokkos<DeviceType>::edges()
{
  number_nodes();
  count_edges();
  Kokkos::deep_copy(counts_on_host_, counts_);
  const int num_centers = counts_on_host_(0), num_nodes = counts_on_host_(1), num_edges = counts_on_host_(2);
  grow(neighbor_, num_edges, "mlff:neighbor");
  grow(rij_, num_edges, "mlff:rij");
  fill_rows();
  return {num_centers,     num_centers,        num_nodes,        num_edges,
          element_.data(), first_edge_.data(), neighbor_.data(), rij_.data()};
}

// Types are read at every step: fix atom/swap changes them without re-neighboring.
template <class DeviceType> void EdgeBuilderKokkos<DeviceType>::number_nodes()
{
  const int nlocal = atom->nlocal, nall = nlocal + atom->nghost;
  grow(node_of_atom_, nall, "mlff:node_of_atom");
  grow(element_, nall, "mlff:element");
  grow(atom_of_center_, nlocal, "mlff:atom_of_center");
  Kokkos::deep_copy(counts_, 0);

  const auto type = atomKK->k_type.view<DeviceType>();
  const auto mask = atomKK->k_mask.view<DeviceType>();
  const auto element_of_type = element_of_type_, owner = owner_, node_of_atom = node_of_atom_, element = element_,
             atom_of_center = atom_of_center_, counts = counts_;
  const int absent = EdgeBuilder::absent_mask(*neighbor);
  const bool images_have_owners = owner.extent(0) > 0;
  Kokkos::parallel_scan(
      "mlff:number_nodes", Kokkos::RangePolicy<DeviceType>(0, nall), KOKKOS_LAMBDA(int i, int &node, bool last) {
        const bool is_node =
            element_of_type(type(i)) >= 0 && !(mask(i) & absent) && (i < nlocal || !images_have_owners);
        if (last) {
          node_of_atom(i) = is_node ? node : -1;
          if (is_node) element(node) = element_of_type(type(i));
          if (is_node && i < nlocal) atom_of_center(node) = i;
          if (i == nlocal - 1) counts(0) = node + is_node;
          if (i == nall - 1) counts(1) = node + is_node;
        }
        node += is_node;
      });
  if (!images_have_owners) return;
  Kokkos::parallel_for(
      "mlff:nodes_of_images", Kokkos::RangePolicy<DeviceType>(nlocal, nall), KOKKOS_LAMBDA(int i) {
        const bool seen = element_of_type(type(i)) >= 0 && !(mask(i) & absent);
        node_of_atom(i) = seen ? node_of_atom(owner(i)) : -1;
      });
}

// first_edge, also past the last center, where it stays at the number of edges: the host does not know the centers yet.
template <class DeviceType> void EdgeBuilderKokkos<DeviceType>::count_edges()
{
  const int nlocal = atom->nlocal;
  grow(first_edge_, nlocal + 1, "mlff:first_edge");
  const auto x = atomKK->k_x.view<DeviceType>();
  const auto row_of_atom = row_of_atom_, first_candidate = first_candidate_, candidate = candidate_,
             node_of_atom = node_of_atom_, atom_of_center = atom_of_center_, first_edge = first_edge_, counts = counts_;
  const double unit = length_unit_, cutoff_squared = cutoff_ * cutoff_;
  Kokkos::parallel_for(
      "mlff:degrees", Kokkos::RangePolicy<DeviceType>(0, nlocal), KOKKOS_LAMBDA(int c) {
        int degree = 0;
        const int i = c < counts(0) ? atom_of_center(c) : -1;
        const int row = i < 0 ? -1 : row_of_atom(i);
        const int end = row < 0 ? 0 : first_candidate(row + 1);
        for (int n = row < 0 ? 0 : first_candidate(row); n < end; ++n) {
          const int j = candidate(n);
          const double d[3] = {(x(j, 0) - x(i, 0)) * unit, (x(j, 1) - x(i, 1)) * unit, (x(j, 2) - x(i, 2)) * unit};
          degree += node_of_atom(j) >= 0 && d[0] * d[0] + d[1] * d[1] + d[2] * d[2] < cutoff_squared;
        }
        first_edge(c + 1) = degree;
      });
  Kokkos::parallel_scan(
      "mlff:first_edges", Kokkos::RangePolicy<DeviceType>(0, nlocal + 1), KOKKOS_LAMBDA(int c, int &sum, bool last) {
        if (c > 0) sum += first_edge(c);
        if (last) first_edge(c) = sum;
        if (last && c == nlocal) counts(2) = sum;
      });
}

template <class DeviceType> void EdgeBuilderKokkos<DeviceType>::fill_rows()
{
  const auto x = atomKK->k_x.view<DeviceType>();
  const auto row_of_atom = row_of_atom_, first_candidate = first_candidate_, candidate = candidate_,
             node_of_atom = node_of_atom_, atom_of_center = atom_of_center_, first_edge = first_edge_,
             neighbor = neighbor_, counts = counts_;
  const auto rij = rij_;
  const double unit = length_unit_, cutoff_squared = cutoff_ * cutoff_;
  Kokkos::parallel_for(
      "mlff:fill_rows", Kokkos::RangePolicy<DeviceType>(0, atom->nlocal), KOKKOS_LAMBDA(int c) {
        if (c >= counts(0)) return;
        const int i = atom_of_center(c), row = row_of_atom(i);
        if (row < 0) return;
        int edge = first_edge(c);
        for (int n = first_candidate(row); n < first_candidate(row + 1); ++n) {
          const int j = candidate(n);
          if (node_of_atom(j) < 0) continue;
          const double d[3] = {(x(j, 0) - x(i, 0)) * unit, (x(j, 1) - x(i, 1)) * unit, (x(j, 2) - x(i, 2)) * unit};
          if (d[0] * d[0] + d[1] * d[1] + d[2] * d[2] >= cutoff_squared) continue;
          neighbor(edge) = node_of_atom(j);
          for (int k = 0; k < 3; ++k) rij(edge, k) = d[k];
          ++edge;
        }
      });
}

template <class DeviceType> double EdgeBuilderKokkos<DeviceType>::memory_usage() const
{
  std::size_t ints = 0;
  for (const auto *v : {&owner_, &row_of_atom_, &first_candidate_, &candidate_, &node_of_atom_, &atom_of_center_,
                        &element_, &first_edge_, &neighbor_})
    ints += v->extent(0);
  return static_cast<double>(ints * sizeof(int) + rij_.size() * sizeof(double));
}

namespace LAMMPS_NS {
template class EdgeBuilderKokkos<LMPDeviceType>;
#ifdef LMP_KOKKOS_GPU
template class EdgeBuilderKokkos<LMPHostType>;
#endif
}    // namespace LAMMPS_NS
