// Standard atomic weights.
#pragma once

#include <string>

namespace mlff {

// In g/mol, of an element's symbol ("H"); 0: none of that name. IUPAC 2021 (Prohaska et al., Pure Appl. Chem. 94, 573
// (2022)), abridged; of elements without stable isotopes the mass of one that lives long.
double mass_of_element(const std::string &symbol);

}    // namespace mlff
