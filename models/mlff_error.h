// The one exception of models/: a sentence that says what was expected, what was found and what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace mlff {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}    // namespace mlff
