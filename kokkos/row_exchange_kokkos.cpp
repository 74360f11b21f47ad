#include "row_exchange_kokkos.h"

#include "grow.h"

#include "atom.h"
#include "lammps.h"

#include <algorithm>
#include <cstdint>

using namespace LAMMPS_NS;

namespace {

using HostDoubles = Kokkos::View<double *, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>;
using ConstHostDoubles = Kokkos::View<const double *, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>;

// Which atom stands at place i of a message: those of a list, or a range from `first`.
template <class Ints> struct Listed {
  Ints list;
  KOKKOS_INLINE_FUNCTION int operator()(int i) const { return list(i); }
};
struct Range {
  int first;
  KOKKOS_INLINE_FUNCTION int operator()(int i) const { return first + i; }
};

// The row of an atom, -1 for atoms that are no nodes.
template <class Ints> struct NodeOfAtom {
  Ints node_of_atom;    // empty: row i is atom i
  bool rows_are_atoms = node_of_atom.extent(0) == 0;
  KOKKOS_INLINE_FUNCTION std::int64_t operator()(int atom) const { return rows_are_atoms ? atom : node_of_atom(atom); }
};

template <class View> View first_part(const View &view, std::size_t size)
{
  return Kokkos::subview(view, Kokkos::pair<std::size_t, std::size_t>(0, size));
}

}    // namespace

// Rows are copied in words of four bytes, of which every type of value has a whole number.
template <class DeviceType>
template <class AtomOf>
int RowExchangeKokkos<DeviceType>::gather(int n, const AtomOf &atom_of, const Doubles &buffer) const
{
  const int doubles = doubles_for(rows_.bytes_per_row());
  const int words = static_cast<int>(rows_.bytes_per_row() / sizeof(std::uint32_t)), stride = 2 * doubles;
  const auto *from = static_cast<const std::uint32_t *>(rows_.data);
  auto *to = reinterpret_cast<std::uint32_t *>(buffer.data());
  const NodeOfAtom<Ints> node_of_atom{node_of_atom_};
  Kokkos::parallel_for(
      "mlff:gather_rows", Kokkos::RangePolicy<DeviceType, Kokkos::IndexType<std::int64_t>>(0, std::int64_t(n) * words),
      KOKKOS_LAMBDA(std::int64_t k) {
        const std::int64_t i = k / words, w = k % words;
        const std::int64_t node = node_of_atom(atom_of(static_cast<int>(i)));
        to[i * stride + w] = node < 0 ? 0 : from[node * words + w];
      });
  return n * doubles;
}

template <class DeviceType>
template <class AtomOf>
void RowExchangeKokkos<DeviceType>::scatter(int n, const AtomOf &atom_of, const Doubles &buffer) const
{
  const int words = static_cast<int>(rows_.bytes_per_row() / sizeof(std::uint32_t));
  const int stride = 2 * doubles_for(rows_.bytes_per_row());
  const auto *from = reinterpret_cast<const std::uint32_t *>(buffer.data());
  auto *to = static_cast<std::uint32_t *>(rows_.data);
  const NodeOfAtom<Ints> node_of_atom{node_of_atom_};
  Kokkos::parallel_for(
      "mlff:scatter_rows", Kokkos::RangePolicy<DeviceType, Kokkos::IndexType<std::int64_t>>(0, std::int64_t(n) * words),
      KOKKOS_LAMBDA(std::int64_t k) {
        const std::int64_t i = k / words, w = k % words;
        const std::int64_t node = node_of_atom(atom_of(static_cast<int>(i)));
        if (node >= 0) to[node * words + w] = from[i * stride + w];
      });
}

// Each row is at most once in a message, so no atomics.
template <class DeviceType>
template <class T, class AtomOf>
void RowExchangeKokkos<DeviceType>::add(int n, const AtomOf &atom_of, const Doubles &buffer) const
{
  const int width = rows_.width;
  const auto stride = static_cast<std::int64_t>(doubles_for(rows_.bytes_per_row()) * sizeof(double) / sizeof(T));
  const auto *from = reinterpret_cast<const T *>(buffer.data());
  auto *to = static_cast<T *>(rows_.data);
  const NodeOfAtom<Ints> node_of_atom{node_of_atom_};
  Kokkos::parallel_for(
      "mlff:add_rows", Kokkos::RangePolicy<DeviceType, Kokkos::IndexType<std::int64_t>>(0, std::int64_t(n) * width),
      KOKKOS_LAMBDA(std::int64_t k) {
        const std::int64_t i = k / width, c = k % width;
        const std::int64_t node = node_of_atom(atom_of(static_cast<int>(i)));
        if (node >= 0) to[node * width + c] += from[i * stride + c];
      });
}

template <class DeviceType> void RowExchangeKokkos<DeviceType>::clear_ghosts()
{
  const int nlocal = lmp_->atom->nlocal, nghost = lmp_->atom->nghost;
  const int words = static_cast<int>(rows_.bytes_per_row() / sizeof(std::uint32_t));
  auto *to = static_cast<std::uint32_t *>(rows_.data);
  const NodeOfAtom<Ints> node_of_atom{node_of_atom_};
  Kokkos::parallel_for(
      "mlff:clear_ghosts",
      Kokkos::RangePolicy<DeviceType, Kokkos::IndexType<std::int64_t>>(0, std::int64_t(nghost) * words),
      KOKKOS_LAMBDA(std::int64_t k) {
        const std::int64_t node = node_of_atom(nlocal + static_cast<int>(k / words));
        if (node >= 0) to[node * words + k % words] = 0;
      });
}

/* ---------------------------------------------------------------------- on the device */

template <class DeviceType>
int RowExchangeKokkos<DeviceType>::pack_forward(int n, const Ints &atoms, const Doubles &buffer)
{
  return gather(n, Listed<Ints>{atoms}, buffer);
}

template <class DeviceType> void RowExchangeKokkos<DeviceType>::unpack_forward(int n, int first, const Doubles &buffer)
{
  scatter(n, Range{first}, buffer);
}

template <class DeviceType> int RowExchangeKokkos<DeviceType>::pack_reverse(int n, int first, const Doubles &buffer)
{
  return gather(n, Range{first}, buffer);
}

template <class DeviceType>
void RowExchangeKokkos<DeviceType>::unpack_reverse(int n, const Ints &atoms, const Doubles &buffer)
{
  if (rows_.type == mlff::Rows::Type::FLOAT32)
    add<float>(n, Listed<Ints>{atoms}, buffer);
  else
    add<double>(n, Listed<Ints>{atoms}, buffer);
}

/* ---------------------------------------------------------------------- through the host */

template <class DeviceType> int RowExchangeKokkos<DeviceType>::pack_forward(int n, const int *atoms, double *buffer)
{
  const Doubles rows = staging(n);
  const int size = pack_forward(n, on_device(n, atoms), rows);
  Kokkos::deep_copy(HostDoubles(buffer, size), first_part(rows, size));
  return size;
}

template <class DeviceType> void RowExchangeKokkos<DeviceType>::unpack_forward(int n, int first, const double *buffer)
{
  const Doubles rows = staging(n);
  const std::size_t size = std::size_t(n) * doubles_for(rows_.bytes_per_row());
  Kokkos::deep_copy(first_part(rows, size), ConstHostDoubles(buffer, size));
  unpack_forward(n, first, rows);
}

template <class DeviceType> int RowExchangeKokkos<DeviceType>::pack_reverse(int n, int first, double *buffer)
{
  const Doubles rows = staging(n);
  const int size = pack_reverse(n, first, rows);
  Kokkos::deep_copy(HostDoubles(buffer, size), first_part(rows, size));
  return size;
}

template <class DeviceType>
void RowExchangeKokkos<DeviceType>::unpack_reverse(int n, const int *atoms, const double *buffer)
{
  const Doubles rows = staging(n);
  const std::size_t size = std::size_t(n) * doubles_for(rows_.bytes_per_row());
  Kokkos::deep_copy(first_part(rows, size), ConstHostDoubles(buffer, size));
  unpack_reverse(n, on_device(n, atoms), rows);
}

template <class DeviceType>
const typename RowExchangeKokkos<DeviceType>::Ints &RowExchangeKokkos<DeviceType>::on_device(int n, const int *atoms)
{
  Ints &list = lists_[atoms];
  if (list.extent(0) != static_cast<std::size_t>(n)) {
    const Kokkos::View<int *, DeviceType> copy(Kokkos::view_alloc(Kokkos::WithoutInitializing, "mlff:send_list"), n);
    Kokkos::deep_copy(copy, Kokkos::View<const int *, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(atoms, n));
    list = copy;
  }
  return list;
}

template <class DeviceType>
typename RowExchangeKokkos<DeviceType>::Doubles RowExchangeKokkos<DeviceType>::staging(int n)
{
  grow(buffer_, std::size_t(n) * doubles_for(rows_.bytes_per_row()), "mlff:row_buffer");
  return buffer_;
}

namespace LAMMPS_NS {
template class RowExchangeKokkos<LMPDeviceType>;
#ifdef LMP_KOKKOS_GPU
template class RowExchangeKokkos<LMPHostType>;
#endif
}    // namespace LAMMPS_NS
