// Arrays on the device that keep their room.
#pragma once

#include <Kokkos_Core.hpp>

#include <string>

namespace LAMMPS_NS {

// Room for `size` values or rows, with some to spare, so that a size that goes up and down allocates nothing. What was in
// it is lost when it grows.
template <class View> void grow(View &view, std::size_t size, const std::string &label)
{
  if (view.extent(0) < size) view = View(Kokkos::view_alloc(Kokkos::WithoutInitializing, label), size + size / 8);
}

// In order with the kernels before and after, and without the host's waiting for them, as it does where no space is named.
template <class View> void fill(const View &view, typename View::const_value_type &value)
{
  Kokkos::deep_copy(typename View::execution_space(), view, value);
}

}    // namespace LAMMPS_NS
