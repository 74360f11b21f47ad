// The keywords of `pair_style mlff`: from words of the input script to settings.
#pragma once

#include "engine.h"

#include <string>
#include <vector>

namespace mlff {

// How several ranks treat ghosts: rows of features are exchanged before each interaction but the first, or the halo of
// ghosts is so wide that their features can be computed here. AUTO: as the engine can.
enum class Ghosts : std::uint8_t { AUTO, EXCHANGE, HALO };

// When a run's configuration is evaluated in fp64 as well. AUTO: at setup, unless the system is large.
struct Check {
  enum class When : std::uint8_t { AUTO, OFF, SETUP, EVERY };
  When when = When::AUTO;
  int every = 0;    // steps, and at setup
};

struct Keywords {
  Precision precision = Precision::FP32;
  Jit jit = Jit::FREEZE;
  Ghosts ghosts = Ghosts::AUTO;
  int chunk = 0;    // atoms, 0: auto
  Check check;
};

// Throws Error that names the word, what is allowed there, whether it is planned for a later version, and which keywords
// exclude one another.
Keywords parse_keywords(const std::vector<std::string> &words);

// Throws Error where a student's engine cannot do what a keyword asks for.
void check_engine(const Keywords &keywords, const Engine &engine);

}    // namespace mlff
