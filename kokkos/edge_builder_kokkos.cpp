#include "edge_builder_kokkos.h"

#include "edge_builder.h"
#include "grow.h"
#include "row_policy.h"

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

// What the host waits for in each step.
enum Count { OWNED_CENTERS, CENTERS, NODES, EDGES, NUM_COUNTS };

// Edges of an atom: its candidates that are nodes and nearer than the cutoff.
template <class Ints, class Positions> struct Edges {
  Ints row_of_atom, first_candidate, candidate, node_of_atom;
  Positions x;
  double unit, cutoff_squared;

  struct Row {
    int i, first, size;
  };

  KOKKOS_INLINE_FUNCTION Row row(int i) const
  {
    const int row = row_of_atom(i);
    return row < 0 ? Row{i, 0, 0} : Row{i, first_candidate(row), first_candidate(row + 1) - first_candidate(row)};
  }

  // Whether candidate n of a row has an edge; then j is the candidate, r = r_j - r_i in Å.
  KOKKOS_INLINE_FUNCTION bool found(const Row &row, int n, int &j, double (&r)[3]) const
  {
    j = candidate(row.first + n);
    if (node_of_atom(j) < 0) return false;
    for (int k = 0; k < 3; ++k) r[k] = (x(j, k) - x(row.i, k)) * unit;
    return r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < cutoff_squared;
  }
};

}    // namespace

template <class DeviceType>
EdgeBuilderKokkos<DeviceType>::EdgeBuilderKokkos(LAMMPS *lmp, const std::vector<int> &element_of_type, double cutoff,
                                                 double length_unit) :
    Pointers(lmp),
    cutoff_(cutoff), length_unit_(length_unit), element_of_type_("mlff:element_of_type", element_of_type.size()),
    counts_("mlff:counts", NUM_COUNTS), counts_on_host_(Kokkos::create_mirror_view(counts_))
{
  const Kokkos::View<const int *, Kokkos::HostSpace, Kokkos::MemoryUnmanaged> host(element_of_type.data(),
                                                                                   element_of_type.size());
  Kokkos::deep_copy(element_of_type_, host);
}

template <class DeviceType>
void EdgeBuilderKokkos<DeviceType>::rebuild(const NeighListKokkos<DeviceType> &list, const Ints &owner, int halo)
{
  owner_ = owner;
  halo_ = halo;
  measure_distances(list);
  order_atoms();
  sort_candidates(list);
}

template <class DeviceType>
void EdgeBuilderKokkos<DeviceType>::measure_distances(const NeighListKokkos<DeviceType> &list)
{
  const int nlocal = atom->nlocal, nall = nlocal + atom->nghost, far = halo_ + 1;
  grow(distance_, nall, "mlff:distance");
  const auto distance = distance_;
  Kokkos::parallel_for(
      "mlff:no_distance", Kokkos::RangePolicy<DeviceType>(0, nall),
      KOKKOS_LAMBDA(int i) { distance(i) = i < nlocal ? 0 : far; });

  const auto ilist = list.d_ilist, numneigh = list.d_numneigh;
  const auto neighbors = list.d_neighbors;
  for (int d = 1; d <= halo_; ++d)
    Kokkos::parallel_for(
        "mlff:distance", Kokkos::RangePolicy<DeviceType>(0, list.inum + list.gnum), KOKKOS_LAMBDA(int row) {
          const int i = ilist(row);
          if (distance(i) != d - 1) return;
          for (int m = 0; m < numneigh(i); ++m) Kokkos::atomic_min(&distance(neighbors(i, m) & NEIGHMASK), d);
        });
}

template <class DeviceType> void EdgeBuilderKokkos<DeviceType>::order_atoms()
{
  const int nlocal = atom->nlocal, nall = nlocal + atom->nghost, halo = halo_;
  grow(atom_, nall, "mlff:atom");
  const auto distance = distance_, in_order = atom_;
  int first = 0;
  for (const bool centers : {true, false}) {
    int found = 0;
    Kokkos::parallel_scan(
        "mlff:order_atoms", Kokkos::RangePolicy<DeviceType>(0, nall),
        KOKKOS_LAMBDA(int i, int &place, bool last) {
          const bool wanted = (distance(i) <= halo) == centers;
          if (last && wanted) in_order(first + place) = i;
          place += wanted;
        },
        found);
    first += found;
    if (centers) max_centers_ = found;
  }
}

// A place in the sorted row is the number of candidates that stand before; they are counted for each one at once.
template <class DeviceType> void EdgeBuilderKokkos<DeviceType>::sort_candidates(const NeighListKokkos<DeviceType> &list)
{
  const int rows = list.inum + (halo_ > 0 ? list.gnum : 0), halo = halo_;
  grow(row_of_atom_, atom->nlocal + atom->nghost, "mlff:row_of_atom");
  grow(first_candidate_, rows + 1, "mlff:first_candidate");
  fill(row_of_atom_, -1);

  const auto ilist = list.d_ilist, numneigh = list.d_numneigh;
  const auto neighbors = list.d_neighbors;
  const auto row_of_atom = row_of_atom_, first = first_candidate_, distance = distance_;
  int total = 0;
  Kokkos::parallel_scan(
      "mlff:candidates", Kokkos::RangePolicy<DeviceType>(0, rows),
      KOKKOS_LAMBDA(int row, int &sum, bool last) {
        const int i = ilist(row), size = distance(i) <= halo ? numneigh(i) : 0;
        if (last) {
          row_of_atom(i) = row;
          first(row) = sum;
          first(row + 1) = sum + size;
        }
        sum += size;
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
        const int row = team.league_rank(), i = ilist(row), size = first(row + 1) - first(row);
        Kokkos::parallel_for(Kokkos::TeamThreadRange(team, size), [&](int m) {
          const int j = neighbors(i, m) & NEIGHMASK;
          int place = 0;
          for (int n = 0; n < size; ++n) place += order.before(neighbors(i, n) & NEIGHMASK, j);
          candidate(first(row) + place) = j;
        });
      });
}

template <class DeviceType> auto EdgeBuilderKokkos<DeviceType>::edges_of_atom() const
{
  const auto x = atomKK->k_x.view<DeviceType>();
  return Edges<Ints, std::decay_t<decltype(x)>>{row_of_atom_, first_candidate_, candidate_, node_of_atom_, x,
                                                length_unit_, cutoff_ * cutoff_};
}

template <class DeviceType> mlff::EdgeList EdgeBuilderKokkos<DeviceType>::edges()
{
  number_nodes();
  count_edges();
  Kokkos::deep_copy(counts_on_host_, counts_);
  const int num_edges = counts_on_host_(EDGES);
  grow(neighbor_, num_edges, "mlff:neighbor");
  grow(rij_, num_edges, "mlff:rij");
  fill_rows();
  return {counts_on_host_(OWNED_CENTERS),
          counts_on_host_(CENTERS),
          counts_on_host_(NODES),
          num_edges,
          element_.data(),
          first_edge_.data(),
          neighbor_.data(),
          rij_.data()};
}

// Types are read at every step: fix atom/swap changes them without re-neighboring.
template <class DeviceType> void EdgeBuilderKokkos<DeviceType>::number_nodes()
{
  const int nlocal = atom->nlocal, nall = nlocal + atom->nghost, max_centers = max_centers_;
  grow(node_of_atom_, nall, "mlff:node_of_atom");
  grow(element_, nall, "mlff:element");
  grow(atom_of_center_, max_centers, "mlff:atom_of_center");
  fill(counts_, 0);

  const auto type = atomKK->k_type.view<DeviceType>();
  const auto mask = atomKK->k_mask.view<DeviceType>();
  const auto element_of_type = element_of_type_, owner = owner_, node_of_atom = node_of_atom_, element = element_,
             atom_of_center = atom_of_center_, counts = counts_, in_order = atom_;
  const int absent = EdgeBuilder::absent_mask(*neighbor);
  const bool images_have_owners = owner.extent(0) > 0;
  Kokkos::parallel_scan(
      "mlff:number_nodes", Kokkos::RangePolicy<DeviceType>(0, nall), KOKKOS_LAMBDA(int n, int &node, bool last) {
        const int i = in_order(n);
        const bool is_node =
            element_of_type(type(i)) >= 0 && !(mask(i) & absent) && (n < nlocal || !images_have_owners);
        if (last) {
          node_of_atom(i) = is_node ? node : -1;
          if (is_node) element(node) = element_of_type(type(i));
          if (is_node && n < max_centers) atom_of_center(node) = i;
          if (n == nlocal - 1) counts(OWNED_CENTERS) = node + is_node;
          if (n == max_centers - 1) counts(CENTERS) = node + is_node;
          if (n == nall - 1) counts(NODES) = node + is_node;
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
  const int max_centers = max_centers_;
  grow(first_edge_, max_centers + 1, "mlff:first_edge");
  const auto edges_of = edges_of_atom();
  const auto atom_of_center = atom_of_center_, first_edge = first_edge_, counts = counts_;
  using Rows = RowPolicy<DeviceType>;
  Kokkos::parallel_for(
      "mlff:degrees", Rows::over(max_centers), KOKKOS_LAMBDA(const typename Rows::Member &member) {
        const int c = Rows::row(member);
        if (c >= max_centers) return;
        int degree = 0;
        if (c < counts(CENTERS)) {
          const auto row = edges_of.row(atom_of_center(c));
          Kokkos::parallel_reduce(
              Kokkos::ThreadVectorRange(member, row.size),
              [&](int n, int &sum) {
                int j;
                double r[3];
                sum += edges_of.found(row, n, j, r);
              },
              degree);
        }
        Kokkos::single(Kokkos::PerThread(member), [&] { first_edge(c + 1) = degree; });
      });
  Kokkos::parallel_scan(
      "mlff:first_edges", Kokkos::RangePolicy<DeviceType>(0, max_centers + 1),
      KOKKOS_LAMBDA(int c, int &sum, bool last) {
        if (c > 0) sum += first_edge(c);
        if (last) first_edge(c) = sum;
        if (last && c == max_centers) counts(EDGES) = sum;
      });
}

template <class DeviceType> void EdgeBuilderKokkos<DeviceType>::fill_rows()
{
  const auto edges_of = edges_of_atom();
  const auto atom_of_center = atom_of_center_, node_of_atom = node_of_atom_, first_edge = first_edge_,
             neighbor = neighbor_, counts = counts_;
  const auto rij = rij_;
  using Rows = RowPolicy<DeviceType>;
  Kokkos::parallel_for(
      "mlff:fill_rows", Rows::over(max_centers_), KOKKOS_LAMBDA(const typename Rows::Member &member) {
        const int c = Rows::row(member);
        if (c >= counts(CENTERS)) return;
        const auto row = edges_of.row(atom_of_center(c));
        Kokkos::parallel_scan(Kokkos::ThreadVectorRange(member, row.size), [&](int n, int &place, bool last) {
          int j;
          double r[3];
          if (!edges_of.found(row, n, j, r)) return;
          if (last) {
            const int edge = first_edge(c) + place;
            neighbor(edge) = node_of_atom(j);
            for (int k = 0; k < 3; ++k) rij(edge, k) = r[k];
          }
          ++place;
        });
      });
}

template <class DeviceType> double EdgeBuilderKokkos<DeviceType>::memory_usage() const
{
  std::size_t ints = 0;
  for (const auto *v : {&owner_, &row_of_atom_, &distance_, &atom_, &first_candidate_, &candidate_, &node_of_atom_,
                        &atom_of_center_, &element_, &first_edge_, &neighbor_})
    ints += v->extent(0);
  return static_cast<double>(ints * sizeof(int) + rij_.size() * sizeof(double));
}

namespace LAMMPS_NS {
template class EdgeBuilderKokkos<LMPDeviceType>;
#ifdef LMP_KOKKOS_GPU
template class EdgeBuilderKokkos<LMPHostType>;
#endif
}    // namespace LAMMPS_NS
