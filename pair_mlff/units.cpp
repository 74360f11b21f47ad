#include "units.h"

#include "mlff_error.h"

namespace mlff {

Units units_of_style(const std::string &unit_style)
{
  // kcal/mol: LAMMPS's own factor, so that results equal those of its converted potentials.
  // Hartree, Bohr, Joule, kilogram: CODATA 2018.
  if (unit_style == "metal") return {1.0, 1.0, 1.0};
  if (unit_style == "real") return {23.060549, 1.0, 1.0};
  if (unit_style == "electron") return {1.0 / 27.211386245988, 1.0 / 0.529177210903, 1.0};
  if (unit_style == "si") return {1.602176634e-19, 1e-10, 1.66053906660e-27};
  throw Error("pair_style mlff: expected units metal, real, electron or si, found units " + unit_style +
              ". Students are in eV and Angstrom and are converted to these only.");
}

}    // namespace mlff
