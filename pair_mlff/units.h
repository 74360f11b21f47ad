// Files are in eV and Å; LAMMPS's unit styles differ.
#pragma once

#include <string>

namespace mlff {

struct Units {
  double energy;    // LAMMPS energy per eV
  double length;    // LAMMPS length per Å
  double mass;      // LAMMPS mass per g/mol

  double force() const { return energy / length; }
};

// For the unit styles metal, real, electron and si; throws Error for any other.
Units units_of_style(const std::string &unit_style);

}    // namespace mlff
