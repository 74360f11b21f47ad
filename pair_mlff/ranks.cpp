#include "ranks.h"

#include "mlff_error.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace mlff {

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

double largest_over_ranks(double mine, MPI_Comm world)
{
  double largest = 0.0;
  MPI_Allreduce(&mine, &largest, 1, MPI_DOUBLE, MPI_MAX, world);
  return largest;
}

void throw_together(const std::string &failure, MPI_Comm world)
{
  int me = 0, ranks = 1;
  MPI_Comm_rank(world, &me);
  MPI_Comm_size(world, &ranks);
  int mine = failure.empty() ? ranks : me, first = 0;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == ranks) return;
  std::string text = failure;
  int size = static_cast<int>(text.size());
  MPI_Bcast(&size, 1, MPI_INT, first, world);
  text.resize(size);
  MPI_Bcast(text.data(), size, MPI_CHAR, first, world);
  throw Error(text);
}

}    // namespace mlff
