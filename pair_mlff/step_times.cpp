#include "step_times.h"

namespace mlff {

namespace {

StepTimes reduced(StepTimes times, MPI_Op operation, double factor, MPI_Comm world)
{
  double *seconds[] = {&times.edges, &times.network, &times.exchange, &times.scatter, &times.warm_up};
  for (double *value : seconds) {
    const double mine = *value * factor;
    MPI_Reduce(&mine, value, 1, MPI_DOUBLE, operation, 0, world);
  }
  return times;
}

}    // namespace

StepTimes mean_over_ranks(const StepTimes &mine, MPI_Comm world)
{
  int ranks = 1;
  MPI_Comm_size(world, &ranks);
  return reduced(mine, MPI_SUM, 1.0 / ranks, world);
}

StepTimes largest_over_ranks(const StepTimes &mine, MPI_Comm world)
{
  return reduced(mine, MPI_MAX, 1.0, world);
}

}    // namespace mlff
