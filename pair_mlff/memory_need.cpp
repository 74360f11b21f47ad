#include "memory_need.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace mlff {

MemoryNeed memory_need(double bytes, double free_bytes, double atoms, MPI_Comm world)
{
  double mine[3] = {bytes, free_bytes, atoms}, all[3];
  MPI_Allreduce(mine, all, 3, MPI_DOUBLE, MPI_SUM, world);
  if (all[0] == 0.0 || all[2] == 0.0) return {};
  const double bytes_per_atom = all[0] / all[2];
  return {bytes_per_atom, all[1] > 0.0 ? (all[0] + all[1]) / bytes_per_atom : 0.0};
}

int ranks_on_this_node(MPI_Comm world)
{
  char name[MPI_MAX_PROCESSOR_NAME];
  int length = 0, ranks = 1;
  MPI_Get_processor_name(name, &length);
  MPI_Comm_size(world, &ranks);
  auto mine = static_cast<double>(std::hash<std::string>()(std::string(name, length)) >> 11);    // exact in a double
  std::vector<double> all(ranks);
  MPI_Allgather(&mine, 1, MPI_DOUBLE, all.data(), 1, MPI_DOUBLE, world);
  return static_cast<int>(std::count(all.begin(), all.end(), mine));
}

}    // namespace mlff
