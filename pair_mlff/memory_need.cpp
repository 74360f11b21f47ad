#include "memory_need.h"

namespace mlff {

constexpr double FEWEST_ATOMS = 30;

MemoryNeed memory_need(const MemoryUse &mine, MPI_Comm world)
{
  const double values[] = {mine.bytes, mine.bytes_in_slices, mine.free_bytes, mine.atoms};
  double sum[4];
  MPI_Allreduce(values, sum, 4, MPI_DOUBLE, MPI_SUM, world);
  const auto [bytes, bytes_in_slices, free_bytes, atoms] = sum;
  MemoryNeed need;
  if (atoms == 0.0) return need;
  // of a few atoms, most is what any system takes: no measure of larger ones
  const double all = free_bytes > 0.0 && atoms >= FEWEST_ATOMS ? bytes + free_bytes : 0.0;
  const auto fit = [&](double bytes_per_atom) { return bytes_per_atom > 0.0 ? all / bytes_per_atom : 0.0; };
  need.bytes_per_atom = bytes / atoms;
  need.atoms_that_fit = fit(need.bytes_per_atom);
  need.bytes_per_atom_in_slices = bytes_in_slices / atoms;
  need.atoms_that_fit_in_slices = fit(need.bytes_per_atom_in_slices);
  return need;
}

}    // namespace mlff
