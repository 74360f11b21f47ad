// The record mlff.safetensors: every parameter under its name. Format: 8 bytes length of the table (little endian),
// the table as JSON {name: {"dtype", "shape", "data_offsets": [begin, end]}}, the data that fill the rest.
#pragma once

#include "model_file.h"

namespace mlff {

// Throws Error, with `path` in the message, unless the table describes the data without gap and overlap, in float32,
// and all values are finite.
std::map<std::string, ModelFile::Weight> parse_safetensors(const std::vector<char> &content, const std::string &path);

}    // namespace mlff
