// Texts of files for messages and for the log.
#pragma once

#include <algorithm>
#include <string>

namespace mlff {

// One line of at most `most` bytes, whatever the file holds.
inline std::string one_line(std::string text, std::size_t most = std::string::npos)
{
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  if (text.size() > most) text = text.substr(0, most) + " ...";
  return text;
}

}    // namespace mlff
