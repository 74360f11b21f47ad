// The only place that knows differences between LAMMPS versions (4 Feb 2025 to 4 Jul 2026).
#pragma once

namespace LAMMPS_NS {

// The caller wants the global energy and nothing else. LAMMPS before 2026 has no such request.
template <typename PairStyle> bool energy_only(const PairStyle &pair)
{
  if constexpr (requires { pair.eflag_only; })
    return pair.eflag_only != 0;
  else
    return false;
}

}    // namespace LAMMPS_NS
