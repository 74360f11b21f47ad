#include "self_check.h"

#include "mlff_error.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace mlff {

namespace {

constexpr double SMALLEST_SCALE = 0.05;    // eV/Å: forces of a molecule at rest are all rounding

std::string print(const char *format, double a, double b = 0.0, double c = 0.0)
{
  char buffer[128];
  std::snprintf(buffer, sizeof(buffer), format, a, b, c);
  return buffer;
}

}    // namespace

double SelfCheck::bound(Precision precision)
{
  constexpr double BOUNDS[] = {1e-8, 1e-3, 2e-2, 3e-1, 5e-2};    // fp64, fp32, tf32, bf16, fp16
  return BOUNDS[static_cast<int>(precision)];
}

bool SelfCheck::is_due(bool at_setup, long step, double most_atoms) const
{
  switch (check_.when) {
    case Check::When::OFF:
      return false;
    case Check::When::AUTO:
      return at_setup && most_atoms <= MOST_ATOMS;
    case Check::When::SETUP:
      return at_setup;
    case Check::When::EVERY:
      return at_setup || step % check_.every == 0;
  }
  return false;
}

void SelfCheck::compare(const Evaluated &found, const Evaluated &exact, MPI_Comm world)
{
  double sums[9] = {found.energy - exact.energy}, largest = 0.0;    // energy, six of virial, squares of forces, values
  for (int k = 0; k < 6; ++k) sums[1 + k] = found.virial[k] - exact.virial[k];
  for (std::size_t n = 0; n < exact.force.size(); ++n) {
    const double difference = std::abs(found.force[n] - exact.force[n]);
    largest = std::isfinite(difference) ? std::max(largest, difference) : HUGE_VAL;
    sums[7] += exact.force[n] * exact.force[n];
  }
  sums[8] = static_cast<double>(exact.force.size());
  MPI_Allreduce(MPI_IN_PLACE, sums, 9, MPI_DOUBLE, MPI_SUM, world);
  MPI_Allreduce(MPI_IN_PLACE, &largest, 1, MPI_DOUBLE, MPI_MAX, world);
  const double atoms = std::max(sums[8] / 3.0, 1.0);
  energy_ = sums[0] / atoms;
  virial_ = 0.0;
  for (int k = 0; k < 6; ++k) virial_ = std::max(virial_, std::abs(sums[1 + k]) / atoms);
  force_ = largest;
  relative_force_ = largest / std::max(std::sqrt(sums[7] / std::max(sums[8], 1.0)), SMALLEST_SCALE);
  largest_ = std::max(largest_, relative_force_);
  ++num_done_;
  ++num_since_;
  if (!(relative_force_ <= bound(precision_)))
    throw Error("pair_style mlff: expected forces within " + print("%g", bound(precision_)) +
                " (of their rms) of those in fp64 with 'precision " + name_of(precision_) + "', found " +
                print("%.3g (%.3g eV/Angstrom). ", relative_force_, force_) +
                "Use a wider precision, or look for what is wrong with this configuration or this machine.");
}

std::string SelfCheck::last_text() const
{
  if (num_done_ == 0)
    return "left out, for more than " + std::to_string(MOST_ATOMS) + " atoms on a rank; 'check setup' asks for it";
  return print("energy %.2g meV/atom, largest force %.2g eV/Angstrom", 1e3 * energy_, force_) +
      print(" (%.2g of rms), virial %.2g meV/atom from fp64", relative_force_, 1e3 * virial_);
}

std::string SelfCheck::take_summary()
{
  if (check_.when != Check::When::EVERY || num_since_ == 0) return "";
  const std::string text =
      print("  largest difference of a force from fp64 in %.0f checks: %.2g of rms\n", num_since_, largest_);
  num_since_ = 0;
  largest_ = 0.0;
  return text;
}

}    // namespace mlff
