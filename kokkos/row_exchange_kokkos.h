// Rows on the device between owners and ghosts through LAMMPS's own pair communication: on the device where LAMMPS does
// (one rank, or MPI that knows GPUs), else through host buffers that hold no more than the rows sent.
#pragma once

#include "row_exchange.h"

#include "kokkos_type.h"

#include <map>

namespace LAMMPS_NS {

template <class DeviceType> class RowExchangeKokkos : public RowExchange {
 public:
  using RowExchange::RowExchange;
  using Ints = Kokkos::View<const int *, DeviceType>;
  using Doubles = Kokkos::View<double *, DeviceType>;

  // node_of_atom[nlocal + nghost] on the device; empty: row i is atom i.
  void set_nodes(const Ints &node_of_atom) { node_of_atom_ = node_of_atom; }

  // After each re-neighboring, which makes new lists of atoms to send.
  void forget_lists() { lists_.clear(); }

  // For the functions of the same names in Pair, which LAMMPS calls with host buffers.
  int pack_forward(int n, const int *atoms, double *buffer) override;
  void unpack_forward(int n, int first, const double *buffer) override;
  int pack_reverse(int n, int first, double *buffer) override;
  void unpack_reverse(int n, const int *atoms, const double *buffer) override;

  // For those in KokkosBase.
  int pack_forward(int n, const Ints &atoms, const Doubles &buffer);
  void unpack_forward(int n, int first, const Doubles &buffer);
  int pack_reverse(int n, int first, const Doubles &buffer);
  void unpack_reverse(int n, const Ints &atoms, const Doubles &buffer);

  // Public for the lambdas in them.
  template <class AtomOf> int gather(int n, const AtomOf &atom_of, const Doubles &buffer) const;
  template <class AtomOf> void scatter(int n, const AtomOf &atom_of, const Doubles &buffer) const;
  template <class T, class AtomOf> void add(int n, const AtomOf &atom_of, const Doubles &buffer) const;
  void clear_ghosts() override;

 private:
  const Ints &on_device(int n, const int *atoms);
  Doubles staging(int n);

  Ints node_of_atom_;
  // of the host path
  std::map<const int *, Ints> lists_;    // LAMMPS's, copied when first used
  Doubles buffer_;
};

}    // namespace LAMMPS_NS
