/* ----------------------------------------------------------------------
   pair_style mlff: the run's own configuration beside fp64, for the log, 'compute pair' and 'fix pair'.
------------------------------------------------------------------------- */

#include "pair_mlff.h"

#include "engine.h"
#include "keywords.h"
#include "ranks.h"
#include "report.h"
#include "scatter.h"
#include "self_check.h"
#include "units.h"

#include "atom.h"
#include "comm.h"
#include "update.h"
#include "utils.h"

#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

using namespace LAMMPS_NS;

// After forces and virials were added up: it uses the same scratch.
void PairMLFF::check(const mlff::EdgeList &edges, const mlff::Result &result)
{
  if (!exact_engine_) return;
  const bool at_setup = !std::exchange(checked_, true);
  const double atoms = at_setup ? mlff::largest_over_ranks(atom->nlocal, world) : 0.0;
  if (force_error_wanted_ || check_->is_due(at_setup, update->ntimestep, atoms)) {
    const mlff::Evaluated found = evaluated(edges, result);
    const mlff::Evaluated exact = evaluated(edges, exact_engine_->compute(edges, {}, ghosts()));
    check_->compare(found, exact, world);
    show_check(found, exact);
  }
  if (at_setup && comm->me == 0) utils::logmesg(lmp, mlff::check_report(*check_));
}

// For 'compute pair' and 'fix pair', in LAMMPS's units.
void PairMLFF::show_check(const mlff::Evaluated &found, const mlff::Evaluated &exact)
{
  if (comm->me == 0) {    // compute pair adds up over ranks
    pvector[0] = check_->energy_difference() * units_->energy;
    pvector[1] = check_->force_difference() * units_->force();
    pvector[2] = check_->virial_difference() * units_->energy;
  }
  force_error_.assign(atom->nlocal, 0.0);
  const std::vector<int> atoms = atoms_of_owned_centers(static_cast<int>(exact.force.size() / 3));
  for (std::size_t c = 0; c < atoms.size(); ++c) {
    const double *a = &found.force[3 * c], *b = &exact.force[3 * c];
    force_error_[atoms[c]] = std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) * units_->force();
  }
}

mlff::Evaluated PairMLFF::evaluated(const mlff::EdgeList &edges, const mlff::Result &result)
{
  mlff::Evaluated values;
  const std::vector<double> energies = on_host(result.atom_energy, edges.num_owned_centers);
  values.energy = std::accumulate(energies.begin(), energies.end(), 0.0);
  share_forces(edges, result.gradient, mlff::FORCE_WIDTH, values.virial);
  values.force = on_host(shares(), 3UL * edges.num_owned_centers);
  return values;
}

void *PairMLFF::extract_peratom(const char *name, int &num_columns)
{
  num_columns = 0;
  if (strcmp(name, "force_error") != 0 || !exact_engine_) return nullptr;
  if (static_cast<int>(force_error_.size()) < atom->nlocal) force_error_.resize(atom->nlocal, 0.0);
  return force_error_.data();
}
