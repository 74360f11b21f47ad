// JSON texts of files that anybody may have written.
#pragma once

#include <nlohmann/json.hpp>

namespace mlff {

// The document of a text; discarded (hence no object) where the text is no JSON, or is nested so deep that functions which
// call themselves for each level would leave the stack.
template <class Json, class Iterator> Json parse_json(Iterator begin, Iterator end)
{
  constexpr int MOST_LEVELS = 100;
  bool fits = true;
  const Json document = Json::parse(
      begin, end,
      [&](int level, auto, const Json &) {
        fits = fits && level < MOST_LEVELS;
        return level < MOST_LEVELS;
      },
      false);
  return fits ? document : Json(nlohmann::detail::value_t::discarded);
}

}    // namespace mlff
