// A compiled student, NAME.<device>-<precision>.pt2, checked before LibTorch opens it: a package of another machine or
// another LibTorch would end the process, one of another student would give wrong forces. Runs nothing and needs no
// LibTorch. Format: doc/model_format.md.
#pragma once

#include "engine.h"

#include <string>
#include <vector>

namespace mlff {

// What a package shall run on.
struct AotHost {
  std::string torch;                        // LibTorch's version: "2.11.0"
  std::string compute_capability;           // the GPU's: "9.0"; empty on the CPU
  std::vector<std::string> instructions;    // the CPU's instruction sets, as Linux names them; empty: unknown
};

// Instruction sets of this machine's CPU; none where /proc/cpuinfo does not tell them.
std::vector<std::string> cpu_instructions();

// Throws Error, with the file, what was expected, what was found and the command that makes the right one, unless `path`
// is a whole package (CRC of each record) of format mlff-aot version 1 for this student, these settings and this host.
void check_aot_package(const std::string &path, const ModelFile &model, const EngineSettings &settings,
                       const AotHost &host);

}    // namespace mlff
