#include "safetensors.h"

#include "json_text.h"
#include "mlff_error.h"
#include "text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace mlff {

static_assert(std::endian::native == std::endian::little, "safetensors are read as they lie in the file");

namespace {

using nlohmann::json;

struct Span {
  std::uint64_t begin, end;
};

Span data_offsets(const json &entry)
{
  const auto offsets = entry.find("data_offsets");
  if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2 || !(*offsets)[0].is_number_unsigned() ||
      !(*offsets)[1].is_number_unsigned())
    throw Error("expected data_offsets [begin, end], found none");
  return {(*offsets)[0].get<std::uint64_t>(), (*offsets)[1].get<std::uint64_t>()};
}

std::vector<std::int64_t> tensor_shape(const json &entry)
{
  const auto shape = entry.find("shape");
  if (shape == entry.end() || !shape->is_array() ||
      !std::all_of(shape->begin(), shape->end(), [](const json &length) { return length.is_number_unsigned(); }))
    throw Error("expected a shape (a list of lengths), found none");
  return shape->get<std::vector<std::int64_t>>();
}

// Number of values of a shape; `most` + 1 if it has more than `most`, so that nothing overflows.
std::uint64_t count_values(const std::vector<std::int64_t> &shape, std::uint64_t most)
{
  std::uint64_t count = 1;
  for (const std::int64_t signed_length : shape) {
    const auto length = static_cast<std::uint64_t>(signed_length);
    if (length == 0) return 0;
    if (count > most / length) return most + 1;
    count *= length;
  }
  return count;
}

ModelFile::Weight parse_tensor(const json &entry, const char *data, std::uint64_t num_bytes, Span &span)
{
  if (!entry.is_object()) throw Error("expected an object in the table, found " + std::string(entry.type_name()));
  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || *dtype != "F32")
    throw Error("expected dtype F32, found " + (dtype == entry.end() ? "none" : one_line(dtype->dump(), 60)));
  span = data_offsets(entry);
  if (span.begin > span.end || span.end > num_bytes)
    throw Error("its data_offsets " + std::to_string(span.begin) + " .. " + std::to_string(span.end) +
                " lie outside the " + std::to_string(num_bytes) + " bytes of data");

  ModelFile::Weight weight;
  weight.shape = tensor_shape(entry);
  const std::uint64_t size = span.end - span.begin;
  const std::uint64_t count = count_values(weight.shape, num_bytes);
  if (size % sizeof(float) != 0 || count != size / sizeof(float))
    throw Error("its shape " + one_line(entry["shape"].dump(), 60) + " does not fit its " + std::to_string(size) +
                " bytes");
  weight.values.resize(count);
  if (count > 0) std::memcpy(weight.values.data(), data + span.begin, size);
  if (!std::all_of(weight.values.begin(), weight.values.end(), [](float value) { return std::isfinite(value); }))
    throw Error("it holds values that are not finite");
  return weight;
}

}    // namespace

std::map<std::string, ModelFile::Weight> parse_safetensors(const std::vector<char> &content, const std::string &path)
{
  const std::string in_record = path + ": mlff.safetensors: ";
  const std::string again = ". Export the student again.";

  std::uint64_t table_size = 0;
  if (content.size() < sizeof table_size)
    throw Error(in_record + "expected a table of weights, found too few bytes" + again);
  std::memcpy(&table_size, content.data(), sizeof table_size);
  const std::uint64_t rest = content.size() - sizeof table_size;
  if (table_size > rest)
    throw Error(in_record + "its table should have " + std::to_string(table_size) + " bytes, found " +
                std::to_string(rest) + again);

  const char *text = content.data() + sizeof table_size;
  const auto table = parse_json<json>(text, text + table_size);
  if (!table.is_object()) throw Error(in_record + "its table is not a JSON object" + again);

  std::map<std::string, ModelFile::Weight> weights;
  std::vector<Span> spans;
  for (const auto &[name, entry] : table.items()) {
    if (name == "__metadata__") continue;
    Span span{};
    try {
      weights[name] = parse_tensor(entry, text + table_size, rest - table_size, span);
    } catch (const Error &error) {
      throw Error(in_record + "weight '" + one_line(name, 80) + "': " + error.what() + again);
    }
    spans.push_back(span);
  }

  std::sort(spans.begin(), spans.end(),
            [](Span a, Span b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t end = 0;
  for (const Span &span : spans) {
    if (span.begin != end)
      throw Error(in_record + (span.begin < end ? "two weights overlap" : "there is a gap between two weights") +
                  " at byte " + std::to_string(span.begin) + " of the data" + again);
    end = span.end;
  }
  if (end != rest - table_size)
    throw Error(in_record + "its weights end at byte " + std::to_string(end) + " of " +
                std::to_string(rest - table_size) + again);
  return weights;
}

}    // namespace mlff
