#include "input_checks.h"

#include "element_masses.h"

#include "atom.h"
#include "comm.h"
#include "compute.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "modify.h"
#include "neighbor.h"
#include "utils.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;

void InputChecks::stop(const std::string &sentence) const
{
  lmp_->error->all(FLERR, "pair_style mlff: " + sentence);
}

void InputChecks::warn(const std::string &sentence) const
{
  if (lmp_->comm->me == 0) lmp_->error->warning(FLERR, "pair_style mlff: " + sentence);
}

void InputChecks::run(bool tail, bool shift) const
{
  atoms();
  pair_modify(tail, shift);
  special_bonds();
  neighbor_settings();
  ghost_settings();
  heat_flux();
}

// LAMMPS takes the style without the suffix where the other is not there, and says nothing: a run for a GPU on a CPU.
void InputChecks::variant(bool kokkos) const
{
  if (kokkos || !lmp_->suffix_enable) return;
  for (const char *suffix : {lmp_->suffix, lmp_->suffix2}) {
    if (!suffix || !utils::strmatch(suffix, "^kk")) continue;
    warn(std::string("expected mlff/kk for the suffix '") + suffix +
         "', found the style for CPUs alone. Build mlffkkplugin.so (-D MLFF_BUILD_KOKKOS=ON), put it into "
         "LAMMPS_PLUGIN_PATH, and look further up in the log for why it was not loaded.");
  }
}

void InputChecks::atoms() const
{
  if (!lmp_->atom->tag_enable) stop("expected atoms with IDs, found 'atom_modify id no'. Remove it.");
  if (lmp_->domain->dimension == 2) stop("expected 'dimension 3', found 'dimension 2'. Students know no flat world.");
}

// Both would be taken without a word and change nothing but the log.
void InputChecks::pair_modify(bool tail, bool shift) const
{
  for (const auto &[asked, keyword] : {std::pair(tail, "tail"), std::pair(shift, "shift")})
    if (asked)
      stop(std::string("expected 'pair_modify ") + keyword +
           " no', found 'yes'. A student ends smoothly at its cutoff; "
           "there is nothing to correct.");
}

// With bonds present, special neighbors of weight zero are taken out of the list: O-H pairs would vanish unseen.
void InputChecks::special_bonds() const
{
  const Atom &atom = *lmp_->atom;
  const Force &force = *lmp_->force;
  if (atom.molecular == Atom::ATOMIC) return;
  const bool bonds = atom.nbonds > 0;    // 1-3 and 1-4 neighbors are found along them, with no angle defined
  const bool present[4] = {false, bonds, bonds || atom.nangles > 0, bonds || atom.ndihedrals > 0};
  for (int k = 1; k <= 3; ++k)
    if (present[k] && force.special_lj[k] == 0.0 && force.special_coul[k] == 0.0 && !force.kspace)
      stop("expected every neighbor within the cutoff in the list, found 'special_bonds' that remove 1-" +
           std::to_string(k + 1) + " neighbors. Use 'special_bonds lj/coul 1 1 1'.");
}

// Exclusion of a group against all makes its atoms absent, which is right (EdgeBuilder::absent_mask). Other exclusions
// take pairs away of which a student cannot know.
void InputChecks::neighbor_settings() const
{
  const Neighbor &neighbor = *lmp_->neighbor;
  if (neighbor.includegroup)
    stop("expected neighbors of all atoms, found 'neigh_modify include', which would leave atoms outside the group "
         "without features. Remove it.");
  bool pairs = neighbor.nex_type > 0 || neighbor.nex_mol > 0;
  for (int n = 0; n < neighbor.nex_group; ++n) pairs |= neighbor.ex1_group[n] != 0 && neighbor.ex2_group[n] != 0;
  if (pairs)
    warn("expected each pair within the cutoff, found 'neigh_modify exclude' of types, molecules or two groups. Atoms "
         "do not see one another across it, also not through their neighbors' features: energies are of that system.");
}

void InputChecks::ghost_settings() const
{
  if (lmp_->atom->firstgroupname)
    warn("expected ghosts of all atoms, found 'atom_modify first', which 'comm_modify group' needs. With that, atoms "
         "outside the group would be missed as neighbors. Remove it.");
}

// The flux needs dE_j/dr_i of each atom's energy: with one interaction, all of an edge's virial at its neighbor, where our
// virials of atoms have half at each end; with more, gradients that no sum over edges has. Fan et al., Phys. Rev. B 92,
// 094301 (2015).
void InputChecks::heat_flux() const
{
  for (const Compute *compute : lmp_->modify->get_compute_list())
    if (std::string(compute->style).rfind("heat/flux", 0) == 0)
      stop("expected no 'compute heat/flux', found compute '" + std::string(compute->id) +
           "'. Its flux would be wrong: it is made for energies of pairs, and those of a student depend on all "
           "neighbors "
           "at once. Use 'fix thermal/conductivity' or 'fix ehex'.");
}

void InputChecks::masses(const std::vector<int> &element_of_type, const std::vector<std::string> &symbols,
                         double gram_per_mole) const
{
  const Atom &atom = *lmp_->atom;
  if (!atom.mass) return;    // each atom has its own
  for (int type = 1; type <= atom.ntypes; ++type) {
    if (element_of_type[type] < 0 || !atom.mass_setflag[type]) continue;
    const std::string &symbol = symbols[element_of_type[type]];
    const double expected = mlff::mass_of_element(symbol), found = atom.mass[type] / gram_per_mole;
    const double allowed = std::max(1.1, 0.02 * expected);    // deuterium and rounding; carbon is not nitrogen
    if (expected > 0.0 && std::abs(found - expected) > allowed)
      warn("expected a mass near " + std::to_string(expected) + " g/mol for type " + std::to_string(type) +
           ", which pair_coeff calls " + symbol + ", found " + std::to_string(found) +
           ". Look whether the elements in pair_coeff are in the order of the types.");
  }
}
