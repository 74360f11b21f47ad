// Rows of a list: read by the lanes of a warp together on GPUs, where what lies side by side in memory is then read at
// once, and by one thread on CPUs.
#pragma once

#include <Kokkos_Core.hpp>

namespace LAMMPS_NS {

template <class DeviceType> class RowPolicy {
  static constexpr bool ON_CPU =
      Kokkos::SpaceAccessibility<typename DeviceType::execution_space, Kokkos::HostSpace>::accessible;
  static constexpr int ROWS = ON_CPU ? 1 : 8, LANES = ON_CPU ? 1 : 32;    // of a team, of a row

 public:
  using Policy = Kokkos::TeamPolicy<DeviceType>;
  using Member = typename Policy::member_type;

  static Policy over(int num_rows) { return Policy((num_rows + ROWS - 1) / ROWS, ROWS, LANES); }

  // That of a member; num_rows and more for those left over.
  KOKKOS_INLINE_FUNCTION static int row(const Member &member)
  {
    return member.league_rank() * ROWS + member.team_rank();
  }
};

// A sum of several values, for reductions of Kokkos.
template <int NUM> struct Sums {
  double of[NUM] = {};

  KOKKOS_INLINE_FUNCTION Sums &operator+=(const Sums &other)
  {
    for (int k = 0; k < NUM; ++k) of[k] += other.of[k];
    return *this;
  }
};

}    // namespace LAMMPS_NS
