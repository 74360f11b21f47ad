// A student's file, found and read for all ranks.
#pragma once

#include <memory>
#include <string>

namespace mlff {
class ModelFile;
}

namespace LAMMPS_NS {

// Looks for the file here and in the folders of LAMMPS_POTENTIALS. Rank 0 reads; bytes and outcome go to all, so that all
// ranks succeed or throw mlff::Error together. Collective.
std::unique_ptr<mlff::ModelFile> read_model(class LAMMPS *lmp, const std::string &name);

}    // namespace LAMMPS_NS
