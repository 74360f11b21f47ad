// The keywords of `pair_style mlff`: from words of the input script to settings.
#pragma once

#include "engine.h"

#include <string>
#include <vector>

namespace mlff {

struct Keywords {
  Precision precision = Precision::FP32;
  Jit jit = Jit::FREEZE;
};

// Throws Error that names the word, what is allowed there, and whether it is planned for a later version.
Keywords parse_keywords(const std::vector<std::string> &words);

}    // namespace mlff
