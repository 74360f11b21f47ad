// Where a run's time goes, part by part of a step.
#pragma once

#include <mpi.h>

#include <chrono>

namespace mlff {

// Seconds on one rank, and counts.
struct StepTimes {
  double edges = 0.0, network = 0.0, exchange = 0.0, scatter = 0.0;
  double warm_up = 0.0;
  long calls = 0, forward = 0, reverse = 0;    // evaluations; exchanges between owners and ghosts
};

// Seconds over ranks, on rank 0; counts are those of the rank itself. Collective.
StepTimes mean_over_ranks(const StepTimes &mine, MPI_Comm world);
StepTimes largest_over_ranks(const StepTimes &mine, MPI_Comm world);

// Adds the seconds of a scope to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double &sum) : sum_(sum), start_(Clock::now()) {}
  Stopwatch(const Stopwatch &) = delete;
  Stopwatch &operator=(const Stopwatch &) = delete;
  ~Stopwatch() { sum_ += std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  double &sum_;
  Clock::time_point start_;
};

template <typename Work> auto timed(double &sum, const Work &work)
{
  const Stopwatch watch(sum);
  return work();
}

}    // namespace mlff
