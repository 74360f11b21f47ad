// A run's own configuration in the chosen precision and way of running beside fp64 through the interpreter.
#pragma once

#include "engine.h"
#include "keywords.h"

#include <mpi.h>

#include <string>
#include <vector>

namespace mlff {

// What a rank's owned centers got, in eV and Å.
struct Evaluated {
  double energy = 0.0;
  double virial[6] = {};        // of this rank's edges
  std::vector<double> force;    // [num_owned_centers][3]
};

class SelfCheck {
 public:
  SelfCheck(const Check &check, Precision precision) : check_(check), precision_(precision) {}

  // Most atoms a rank owns for a check at setup that was not asked for.
  static constexpr int MOST_ATOMS = 20000;
  // Atoms that fp64 evaluates at once, so that a check takes less memory than the run itself.
  static constexpr int SLICE = 1024;

  // For an evaluation at `step`, the first of a run or not; the same on all ranks where they agree on the arguments.
  bool is_due(bool at_setup, long step, double most_atoms) const;

  // Throws Error where a difference of forces is above the bound. Collective.
  void compare(const Evaluated &found, const Evaluated &exact, MPI_Comm world);

  // Of the last check, in eV/atom, eV/Å and eV/atom: of the total energy, the largest of a force's and of a virial's
  // components.
  double energy_difference() const { return energy_; }
  double force_difference() const { return force_; }
  double virial_difference() const { return virial_; }

  // One line on the last check, and one on all since the last call.
  std::string last_text() const;
  std::string take_summary();

  // The bound on max |dF| / max(rms F, 0.05 eV/Å). Some 20 to 100 times what a liquid of a shipped student has, so what is
  // above is no rounding: an overflow, a kernel that is wrong on this machine, a file that does not fit the system.
  static double bound(Precision precision);

 private:
  Check check_;
  Precision precision_;
  double energy_ = 0.0, force_ = 0.0, relative_force_ = 0.0, virial_ = 0.0;    // differences of the last check
  double largest_ = 0.0;                                                       // relative_force_ since take_summary
  int num_done_ = 0, num_since_ = 0;
};

}    // namespace mlff
