/* ----------------------------------------------------------------------
   pair_style mlff/kk: the steps of PairMLFF::compute on the device.
------------------------------------------------------------------------- */

#include "pair_mlff_kokkos.h"

#include "edge_builder_kokkos.h"
#include "grow.h"
#include "row_exchange_kokkos.h"
#include "row_policy.h"

#include "engine.h"
#include "model_file.h"
#include "ranks.h"
#include "scatter.h"
#include "units.h"

#include "atom_kokkos.h"
#include "atom_masks.h"
#include "comm.h"
#include "error.h"
#include "kokkos.h"
#include "memory_kokkos.h"
#include "neigh_list_kokkos.h"
#include "neigh_request.h"
#include "neighbor.h"
#include "update.h"

using namespace LAMMPS_NS;

static_assert(
    std::is_same_v<KK_FLOAT, double> && std::is_same_v<KK_ACC_FLOAT, double>,
    "pair_style mlff/kk needs a LAMMPS built with KOKKOS_PREC=double: others narrow positions before it sees them");

namespace {

using mlff::FORCE_AND_VIRIAL_WIDTH;
using mlff::FORCE_WIDTH;

// Back ends for GPUs have a stream; on the others an engine runs on the CPU.
template <class Space> mlff::Device engine_device(const Space &space)
{
  if constexpr (requires { space.cuda_stream(); })
    return {Kokkos::device_id(), space.cuda_stream()};
  else
    return {};
}

// The edges of a center: r = r_j - r_i, g = dE/dr: F_i += g, F_j -= g, virial -= r (x) g, half of it to each end. As
// scatter_edges in scatter.h, whose order of components is the same.
template <int WIDTH> struct ScatterEdges {
  static constexpr int NUM_SUMS = WIDTH < 9 ? 9 : WIDTH;    // the total virial has six components in any case

  const int *first_edge, *neighbor;
  const double *rij, *gradient;
  double *shares;    // [num_nodes][WIDTH]

  // The center's own sums: force, half of the virial.
  template <class Member> KOKKOS_INLINE_FUNCTION Sums<NUM_SUMS> operator()(const Member &member, int i) const
  {
    Sums<NUM_SUMS> mine;
    Kokkos::parallel_reduce(
        Kokkos::ThreadVectorRange(member, first_edge[i], first_edge[i + 1]),
        [&](int e, Sums<NUM_SUMS> &sum) {
          const double *r = rij + 3L * e, *g = gradient + 3L * e;
          const double half[9] = {-0.5 * r[0] * g[0], -0.5 * r[1] * g[1], -0.5 * r[2] * g[2],
                                  -0.5 * r[0] * g[1], -0.5 * r[0] * g[2], -0.5 * r[1] * g[2],
                                  -0.5 * r[1] * g[0], -0.5 * r[2] * g[0], -0.5 * r[2] * g[1]};
          double *share_j = shares + static_cast<long>(neighbor[e]) * WIDTH;
          for (int a = 0; a < 3; ++a) {
            sum.of[a] += g[a];
            Kokkos::atomic_add(share_j + a, -g[a]);
          }
          for (int k = 3; k < NUM_SUMS; ++k) sum.of[k] += half[k - 3];
          for (int k = 3; k < WIDTH; ++k) Kokkos::atomic_add(share_j + k, half[k - 3]);
        },
        mine);
    Kokkos::single(Kokkos::PerThread(member), [&] {
      for (int k = 0; k < WIDTH; ++k) Kokkos::atomic_add(shares + static_cast<long>(i) * WIDTH + k, mine.of[k]);
    });
    return mine;
  }
};

// Room for `size` atoms, zeroed, seen by LAMMPS through `array`.
template <class DeviceType, class View, class Array, class... Width>
void zeroed(MemoryKokkos *memory, View &view, Array &array, int size, const char *label, Width... width)
{
  if (static_cast<int>(view.view_device().extent(0)) < size) {
    memory->destroy_kokkos(view, array);
    memory->create_kokkos(view, array, size, width..., label);
  }
  fill(view.template view<DeviceType>(), 0.0);
}

}    // namespace

template <class DeviceType>
PairMLFFKokkos<DeviceType>::PairMLFFKokkos(LAMMPS *lmp, ExecutionSpace communication) : PairMLFF(lmp)
{
  kokkosable = 1;
  atomKK = static_cast<AtomKokkos *>(atom);
  execution_space = communication;
  reverse_comm_device = 1;
  datamask_read = X_MASK | F_MASK | TYPE_MASK | TAG_MASK | MASK_MASK | ENERGY_MASK | VIRIAL_MASK;
  datamask_modify = F_MASK | ENERGY_MASK | VIRIAL_MASK;
  exchange_ = std::make_unique<RowExchangeKokkos<DeviceType>>(lmp, this);
}

template <class DeviceType> PairMLFFKokkos<DeviceType>::~PairMLFFKokkos()
{
  if (copymode) return;
  memoryKK->destroy_kokkos(k_eatom_, eatom);
  memoryKK->destroy_kokkos(k_vatom_, vatom);
  memoryKK->destroy_kokkos(k_cvatom_, cvatom);
}

template <class DeviceType> void PairMLFFKokkos<DeviceType>::init_style()
{
  PairMLFF::init_style();
  constexpr bool on_device = std::is_same_v<DeviceType, LMPDeviceType>;
  auto *request = neighbor->find_request(this);
  request->set_kokkos_host(!on_device);
  request->set_kokkos_device(on_device);
  refuse_comm_host();
  warn_of_idle_gpus();
}

// doc/decisions/0009-no-comm-host-on-gpus.md
template <class DeviceType> void PairMLFFKokkos<DeviceType>::refuse_comm_host() const
{
  const KokkosLMP &kokkos = *lmp->kokkos;
  if (device().gpu >= 0 && !one_rank() && (kokkos.exchange_comm_on_host || kokkos.forward_comm_on_host))
    error->all(
        FLERR,
        "pair_style mlff/kk: expected 'package kokkos comm device' or 'comm no' on several ranks with GPUs, found "
        "'comm host', with which forces were seen to be wrong. Use 'comm no'.");
}

template <class DeviceType> void PairMLFFKokkos<DeviceType>::warn_of_idle_gpus() const
{
  const int ranks = mlff::ranks_on_this_node(world), gpus = lmp->kokkos->ngpus;
  if (device().gpu >= 0 && ranks < gpus && comm->me == 0)
    error->warning(FLERR,
                   "pair_style mlff/kk: expected a rank for each of the " + std::to_string(gpus) +
                       " GPUs that '-k on g' names, found " + std::to_string(ranks) +
                       " on this node. The other GPUs are idle: start as many ranks.");
}

template <class DeviceType> mlff::Device PairMLFFKokkos<DeviceType>::device() const
{
  return engine_device(typename DeviceType::execution_space());
}

template <class DeviceType> void PairMLFFKokkos<DeviceType>::make_edge_builder()
{
  edge_builder_ =
      std::make_unique<EdgeBuilderKokkos<DeviceType>>(lmp, element_of_type_, model_->cutoff, 1.0 / units_->length);
}

template <class DeviceType> RowExchangeKokkos<DeviceType> &PairMLFFKokkos<DeviceType>::rows() const
{
  return static_cast<RowExchangeKokkos<DeviceType> &>(*exchange_);
}

/* ---------------------------------------------------------------------- */

template <class DeviceType> void PairMLFFKokkos<DeviceType>::start_tally(int eflag, int vflag)
{
  ev_init(eflag, vflag, 0);
  if (eflag_atom) zeroed<DeviceType>(memoryKK, k_eatom_, eatom, maxeatom, "pair:eatom");
  if (vflag_atom) zeroed<DeviceType>(memoryKK, k_vatom_, vatom, maxvatom, "pair:vatom", 6);
  if (cvflag_atom) zeroed<DeviceType>(memoryKK, k_cvatom_, cvatom, maxcvatom, "pair:cvatom", 9);
  atomKK->sync(execution_space, datamask_read);    // compute may be called from anywhere
}

template <class DeviceType> void PairMLFFKokkos<DeviceType>::rebuild_rows()
{
  rows().forget_lists();
  edge_builder_->rebuild(*static_cast<NeighListKokkos<DeviceType> *>(list), one_rank() ? owners_of_ghosts() : Ints(),
                         halo());
}

// As PairMLFF::owners_of_ghosts.
template <class DeviceType> typename PairMLFFKokkos<DeviceType>::Ints PairMLFFKokkos<DeviceType>::owners_of_ghosts()
{
  const int nlocal = atom->nlocal, nall = nlocal + atom->nghost;
  grow(owner_, nall, "mlff:owner");
  const auto owner = owner_;
  Kokkos::parallel_for(
      "mlff:own_index", Kokkos::RangePolicy<DeviceType>(0, nlocal), KOKKOS_LAMBDA(int i) { owner(i) = i; });
  rows().set_nodes({});
  exchange_->forward({owner.data(), mlff::Rows::Type::FLOAT64, 1});
  Ints result(Kokkos::view_alloc(Kokkos::WithoutInitializing, "mlff:owner_of_atom"), nall);
  Kokkos::parallel_for(
      "mlff:owners", Kokkos::RangePolicy<DeviceType>(0, nall),
      KOKKOS_LAMBDA(int i) { result(i) = static_cast<int>(owner(i)); });
  return result;
}

template <class DeviceType> mlff::EdgeList PairMLFFKokkos<DeviceType>::build_edges()
{
  const mlff::EdgeList edges = edge_builder_->edges();
  rows().set_nodes(edge_builder_->node_of_atom());
  return edges;
}

template <class DeviceType>
void PairMLFFKokkos<DeviceType>::tally_energy(const mlff::EdgeList &edges, const mlff::Result &result)
{
  const double unit = tally_units_->energy;
  const double *atom_energy = result.atom_energy;
  const Kokkos::RangePolicy<DeviceType> centers(0, edges.num_owned_centers);
  const auto atom_of_center = edge_builder_->atom_of_center();
  if (eflag_global) {
    double sum = 0.0;
    const auto tag = atomKK->k_tag.view<DeviceType>();
    const auto not_finite = not_finite_;
    const bigint step = update->ntimestep;
    Kokkos::parallel_reduce(
        "mlff:energy", centers,
        KOKKOS_LAMBDA(int c, double &total) {
          total += atom_energy[c];
          if (!Kokkos::isfinite(atom_energy[c])) not_finite() = {tag(atom_of_center(c)), step};
        },
        sum);
    eng_vdwl += sum * unit;
  }
  if (!eflag_atom) return;
  const auto d_eatom = k_eatom_.view<DeviceType>();
  Kokkos::parallel_for(
      "mlff:atom_energies", centers, KOKKOS_LAMBDA(int c) { d_eatom(atom_of_center(c)) = atom_energy[c] * unit; });
}

template <class DeviceType>
void PairMLFFKokkos<DeviceType>::share_forces(const mlff::EdgeList &edges, const double *gradient, int width,
                                              double *total_virial)
{
  const std::size_t size = static_cast<std::size_t>(edges.num_nodes) * width;
  grow(shares_, size, "mlff:shares");
  fill(shares_, 0.0);

  if (width == FORCE_WIDTH)
    scatter<FORCE_WIDTH>(edges, gradient, total_virial);
  else
    scatter<FORCE_AND_VIRIAL_WIDTH>(edges, gradient, total_virial);
  if (!one_rank()) exchange_->reverse({shares_.data(), mlff::Rows::Type::FLOAT64, width});
}

template <class DeviceType>
template <int WIDTH>
void PairMLFFKokkos<DeviceType>::scatter(const mlff::EdgeList &edges, const double *gradient, double *total_virial)
{
  using Rows = RowPolicy<DeviceType>;
  const int num_centers = edges.num_centers;
  const ScatterEdges<WIDTH> share{edges.first_edge, edges.neighbor, edges.rij, gradient, shares_.data()};
  if (!total_virial) {
    Kokkos::parallel_for(
        "mlff:scatter", Rows::over(num_centers), KOKKOS_LAMBDA(const typename Rows::Member &member) {
          const int i = Rows::row(member);
          if (i < num_centers) share(member, i);
        });
    return;
  }
  Sums<6> total;
  Kokkos::parallel_reduce(
      "mlff:scatter_with_virial", Rows::over(num_centers),
      KOKKOS_LAMBDA(const typename Rows::Member &member, Sums<6> &sum) {
        const int i = Rows::row(member);
        if (i >= num_centers) return;
        const auto mine = share(member, i);
        for (int k = 0; k < 6; ++k) sum.of[k] += 2.0 * mine.of[3 + k];
      },
      total);
  for (int k = 0; k < 6; ++k) total_virial[k] += total.of[k];
}

template <class DeviceType> void PairMLFFKokkos<DeviceType>::add_shares(const mlff::EdgeList &edges, int width)
{
  const double force_unit = tally_units_->force(), energy_unit = tally_units_->energy;
  const bool vatom_asked = vflag_atom, cvatom_asked = cvflag_atom;
  const auto shares = shares_;
  const auto f = atomKK->k_f.view<DeviceType>();
  const auto d_vatom = k_vatom_.view<DeviceType>();
  const auto d_cvatom = k_cvatom_.view<DeviceType>();
  const auto atom_of_center = edge_builder_->atom_of_center();
  const auto tag = atomKK->k_tag.view<DeviceType>();
  const auto not_finite = not_finite_;
  const bigint step = update->ntimestep;
  Kokkos::parallel_for(
      "mlff:forces", Kokkos::RangePolicy<DeviceType>(0, edges.num_owned_centers), KOKKOS_LAMBDA(int c) {
        const int i = atom_of_center(c);
        const double *share = shares.data() + static_cast<long>(c) * width;
        for (int a = 0; a < 3; ++a) f(i, a) += share[a] * force_unit;
        if (!Kokkos::isfinite(share[0] + share[1] + share[2])) not_finite() = {tag(i), step};
        for (int k = 0; vatom_asked && k < 6; ++k) d_vatom(i, k) = share[3 + k] * energy_unit;
        for (int k = 0; cvatom_asked && k < 9; ++k) d_cvatom(i, k) = share[3 + k] * energy_unit;
      });
}

template <class DeviceType>
std::vector<double> PairMLFFKokkos<DeviceType>::on_host(const double *values, std::size_t size) const
{
  std::vector<double> result(size);
  Kokkos::deep_copy(Kokkos::View<double *, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(result.data(), size),
                    Kokkos::View<const double *, DeviceType, Kokkos::MemoryUnmanaged>(values, size));
  return result;
}

template <class DeviceType>
std::vector<int> PairMLFFKokkos<DeviceType>::atoms_of_owned_centers(int num_owned_centers) const
{
  std::vector<int> result(num_owned_centers);
  Kokkos::deep_copy(Kokkos::View<int *, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(result.data(), num_owned_centers),
                    Kokkos::subview(edge_builder_->atom_of_center(), std::make_pair(0, num_owned_centers)));
  return result;
}

template <class DeviceType> void PairMLFFKokkos<DeviceType>::finish_tally()
{
  atomKK->modified(execution_space, F_MASK);
  const auto show = [](auto &view) {
    view.template modify<DeviceType>();
    view.sync_host();
  };
  if (eflag_atom) show(k_eatom_);
  if (vflag_atom) show(k_vatom_);
  if (cvflag_atom) show(k_cvatom_);
}

/* ---------------------------------------------------------------------- */

template <class DeviceType> double PairMLFFKokkos<DeviceType>::bytes_of_edges() const
{
  return edge_builder_->memory_usage() + shares_.extent(0) * sizeof(double);
}

template <class DeviceType> int PairMLFFKokkos<DeviceType>::ranks_that_share_memory() const
{
  const int ranks = mlff::ranks_on_this_node(world);
  return device().gpu < 0 ? ranks : (ranks + lmp->kokkos->ngpus - 1) / lmp->kokkos->ngpus;
}

// As CommKokkos and CommTiledKokkos choose.
template <class DeviceType> std::string PairMLFFKokkos<DeviceType>::exchange_path() const
{
  if (device().gpu < 0) return "";
  const KokkosLMP &kokkos = *lmp->kokkos;
  if (comm->style == Comm::TILED || kokkos.forward_pair_comm_legacy || kokkos.reverse_pair_comm_legacy)
    return "; through host buffers";
  return kokkos.gpu_aware_flag ? "; on the GPU" : "; packed on the GPU, sent from the host";
}

/* ---------------------------------------------------------------------- */

template <class DeviceType>
int PairMLFFKokkos<DeviceType>::pack_forward_comm_kokkos(int n, DAT::tdual_int_1d list, DAT::tdual_double_1d &buffer,
                                                         int /*pbc_flag*/, int * /*pbc*/)
{
  return rows().pack_forward(n, list.view<DeviceType>(), buffer.view<DeviceType>());
}

template <class DeviceType>
void PairMLFFKokkos<DeviceType>::unpack_forward_comm_kokkos(int n, int first, DAT::tdual_double_1d &buffer)
{
  rows().unpack_forward(n, first, buffer.view<DeviceType>());
}

template <class DeviceType>
int PairMLFFKokkos<DeviceType>::pack_reverse_comm_kokkos(int n, int first, DAT::tdual_double_1d &buffer)
{
  return rows().pack_reverse(n, first, buffer.view<DeviceType>());
}

template <class DeviceType>
void PairMLFFKokkos<DeviceType>::unpack_reverse_comm_kokkos(int n, DAT::tdual_int_1d list, DAT::tdual_double_1d &buffer)
{
  rows().unpack_reverse(n, list.view<DeviceType>(), buffer.view<DeviceType>());
}

namespace LAMMPS_NS {
template class PairMLFFKokkos<LMPDeviceType>;
#ifdef LMP_KOKKOS_GPU
template class PairMLFFKokkos<LMPHostType>;
#endif
}    // namespace LAMMPS_NS
