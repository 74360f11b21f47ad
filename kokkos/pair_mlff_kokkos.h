/* -*- c++ -*- ----------------------------------------------------------
   pair_style mlff/kk: mlff with everything on the device that Kokkos runs on.
   Manual: doc/pair_mlff.rst. How the parts fit: doc/ARCHITECTURE.md.
------------------------------------------------------------------------- */

#ifndef LMP_PAIR_MLFF_KOKKOS_H
#define LMP_PAIR_MLFF_KOKKOS_H

#include "pair_mlff.h"

#include "kokkos_base.h"
#include "kokkos_type.h"

namespace LAMMPS_NS {

template <class DeviceType> class EdgeBuilderKokkos;
template <class DeviceType> class RowExchangeKokkos;

template <class DeviceType> class PairMLFFKokkos : public PairMLFF, public KokkosBase {
 public:
  // LAMMPS exchanges rows on the device where `communication` is Device, else through host buffers. Another than the
  // default is for tests: without a GPU the path on the device is taken by itself nowhere.
  explicit PairMLFFKokkos(class LAMMPS *, ExecutionSpace communication = ExecutionSpaceFromDevice<DeviceType>::space);
  ~PairMLFFKokkos() override;

  void init_style() override;

  int pack_forward_comm_kokkos(int, DAT::tdual_int_1d, DAT::tdual_double_1d &, int, int *) override;
  void unpack_forward_comm_kokkos(int, int, DAT::tdual_double_1d &) override;
  int pack_reverse_comm_kokkos(int, int, DAT::tdual_double_1d &) override;
  void unpack_reverse_comm_kokkos(int, DAT::tdual_int_1d, DAT::tdual_double_1d &) override;

  // Public for the lambdas in them.
  using Ints = Kokkos::View<int *, DeviceType>;
  Ints owners_of_ghosts();
  void tally_energy(const mlff::EdgeList &edges, const mlff::Result &result) override;
  void share_forces(const mlff::EdgeList &edges, const double *gradient, int width, double *total_virial) override;
  template <int WIDTH> void scatter(const mlff::EdgeList &edges, const double *gradient, double *total_virial);
  void add_shares(const mlff::EdgeList &edges, int width) override;

 protected:
  mlff::Device device() const override;
  void make_edge_builder() override;
  void start_tally(int eflag, int vflag) override;
  void rebuild_rows() override;
  mlff::EdgeList build_edges() override;
  std::vector<double> on_host(const double *values, std::size_t size) const override;
  std::vector<int> atoms_of_owned_centers(int num_owned_centers) const override;
  NotFinite not_finite() const override { return not_finite_(); }
  void forget_not_finite() override { not_finite_() = {}; }
  const double *shares() const override { return shares_.data(); }
  void finish_tally() override;
  double bytes_of_edges() const override;
  int ranks_that_share_memory() const override;
  std::string exchange_path() const override;

 private:
  void refuse_comm_host() const;
  void warn_of_idle_gpus() const;
  RowExchangeKokkos<DeviceType> &rows() const;

  std::unique_ptr<EdgeBuilderKokkos<DeviceType>> edge_builder_;
  Kokkos::View<double *, DeviceType> shares_;    // [num_nodes][3 or 12] of forces and virials, see scatter.h
  Kokkos::View<double *, DeviceType> owner_;     // scratch of owners_of_ghosts

  // Kernels write to it where something is wrong, and the host reads it without waiting: steps later at most.
  Kokkos::View<NotFinite, Kokkos::SharedHostPinnedSpace> not_finite_{"mlff:not_finite"};

  DAT::ttransform_kkacc_1d k_eatom_;
  DAT::ttransform_kkacc_1d_6 k_vatom_;
  DAT::ttransform_kkacc_1d_9 k_cvatom_;
};

}    // namespace LAMMPS_NS

#endif
