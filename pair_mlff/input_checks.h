// What an input script may not ask of a student, and what its author should know.
#pragma once

#include <string>
#include <vector>

namespace LAMMPS_NS {

// Before each run: stops with an error where LAMMPS's settings would make numbers that are wrong without a sign of it;
// warns where they change the meaning of energies.
class InputChecks {
 public:
  explicit InputChecks(class LAMMPS *lmp) : lmp_(lmp) {}

  // tail, shift: as 'pair_modify' set them.
  void run(bool tail, bool shift) const;

  // When a style is made: warns where it is not the variant for Kokkos that the suffix of styles asks for.
  void variant(bool kokkos) const;

  // Warns where a mass is not that of the element which pair_coeff gave to a type. element_of_type[ntypes + 1]: index into
  // `symbols`, -1 for NULL; gram_per_mole: as a mass of LAMMPS.
  void masses(const std::vector<int> &element_of_type, const std::vector<std::string> &symbols,
              double gram_per_mole) const;

 private:
  void atoms() const;
  void pair_modify(bool tail, bool shift) const;
  void special_bonds() const;
  void neighbor_settings() const;
  void ghost_settings() const;
  void heat_flux() const;
  void stop(const std::string &sentence) const;
  void warn(const std::string &sentence) const;

  LAMMPS *lmp_;
};

}    // namespace LAMMPS_NS
