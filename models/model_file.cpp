#include "model_file.h"

#include "json_text.h"
#include "mlff_error.h"
#include "safetensors.h"
#include "text.h"
#include "zip_archive.h"

#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>

namespace mlff {

namespace {

using json = nlohmann::ordered_json;    // keeps the file's order of errors for the log

const std::string FORMAT = "mlff";
constexpr int FORMAT_VERSION = 1;
constexpr std::uintmax_t MOST_BYTES = 1U << 30;    // ranks send it to one another in one piece
const std::string HEADER = "extra/mlff.json";
const std::string WEIGHTS = "extra/mlff.safetensors";
const std::vector<std::string> PRECISIONS = {"fp64", "fp32", "bf16", "fp16"};

// An archive without our header: says what it is by the records that only its kind has.
[[noreturn]] void throw_other_archive(const ZipArchive &archive, const std::string &path)
{
  const std::string expected = path + ": expected a student written by 'mlff export', found ";
  if (archive.contains("archive_format") || archive.contains_below("data/aotinductor/") ||
      archive.contains("models/model.json"))
    throw Error(expected + "a .pt2 package of torch.export or AOTInductor. Name the student's .pt file.");
  if (archive.contains_below("code/"))
    throw Error(expected + "a TorchScript file without the metadata " + HEADER +
                ". Make a student of it with 'mlff wrap', or, of the built-in network, with 'mlff export'.");
  if (archive.contains("data.pkl"))
    throw Error(expected +
                "a raw checkpoint of torch.save, which holds no program. Make a student of it with "
                "'mlff export'.");
  throw Error(expected + "another zip archive, without the record " + HEADER + ". Name the student's .pt file.");
}

// A value for a message.
std::string shown(const json &value)
{
  return one_line(value.dump(-1, ' ', false, json::error_handler_t::replace), 60);
}

// The header's fields with their types. Every error names the field.
class Header {
 public:
  Header(json fields, const std::string &path) : fields_(std::move(fields)), path_(path) {}

  bool has(const std::string &field) const { return fields_.contains(field) && !fields_.at(field).is_null(); }

  const json &at(const std::string &field) const
  {
    if (!has(field)) throw Error(path_ + ": the header lacks the field '" + field + "'. Export the student again.");
    return fields_.at(field);
  }

  [[noreturn]] void wrong(const std::string &field, const std::string &expected) const
  {
    throw Error(path_ + ": header field '" + field + "': expected " + expected + ", found " + shown(fields_.at(field)) +
                ". Export the student again.");
  }

  std::string text(const std::string &field) const
  {
    if (!at(field).is_string()) wrong(field, "a string");
    return at(field).get<std::string>();
  }

  // Only `value` is valid.
  std::string fixed(const std::string &field, const std::string &value) const
  {
    if (text(field) != value) wrong(field, '"' + value + '"');
    return value;
  }

  std::string one_of(const std::string &field, const std::vector<std::string> &values) const
  {
    if (const std::string found = text(field); std::find(values.begin(), values.end(), found) != values.end())
      return found;
    wrong(field, quoted(values, " or "));
  }

  // Different words of `values`, among them `required`.
  std::vector<std::string> some_of(const std::string &field, const std::vector<std::string> &values,
                                   const std::string &required) const
  {
    const std::string expected = "a list of some of " + quoted(values, ", ") + " with \"" + required + "\" among them";
    std::set<std::string> found;
    for (const json &value : list(field, expected))
      if (!value.is_string() || std::find(values.begin(), values.end(), value.get<std::string>()) == values.end() ||
          !found.insert(value.get<std::string>()).second)
        wrong(field, expected);
    if (!found.contains(required)) wrong(field, expected);
    return at(field).get<std::vector<std::string>>();
  }

  int integer(const std::string &field, int least) const
  {
    const std::string expected = "an integer of at least " + std::to_string(least);
    return to_integer(at(field), least, std::numeric_limits<int>::max(), field, expected);
  }

  double positive(const std::string &field) const
  {
    const json &value = at(field);
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() <= 0.0)
      wrong(field, "a positive number");
    return value.get<double>();
  }

  std::vector<std::string> symbols(const std::string &field) const
  {
    const std::string expected = "a list of different chemical symbols";
    std::set<std::string> seen;
    for (const json &value : list(field, expected)) {
      if (!value.is_string() || !is_word(value.get<std::string>()) || !seen.insert(value.get<std::string>()).second)
        wrong(field, expected);
    }
    if (seen.empty()) wrong(field, expected);
    return at(field).get<std::vector<std::string>>();
  }

  std::vector<int> integers(const std::string &field, std::size_t length, int least, int most) const
  {
    const std::string expected =
        of_each_element("an integer from " + std::to_string(least) + " to " + std::to_string(most), length);
    std::vector<int> values;
    for (const json &value : list(field, expected)) values.push_back(to_integer(value, least, most, field, expected));
    if (values.size() != length) wrong(field, expected);
    return values;
  }

  std::vector<double> numbers(const std::string &field, std::size_t length) const
  {
    return finite_numbers(field, length, of_each_element("a finite number", length));
  }

  // [first, last] with 0 <= first < last <= most, or [0, 0] for none
  std::array<double, 2> range(const std::string &field, double most) const
  {
    const std::string expected = "[first, last] with 0 <= first < last <= cutoff, or [0, 0]";
    const std::vector<double> ends = finite_numbers(field, 2, expected);
    const double first = ends[0], last = ends[1];
    const bool none = first == 0.0 && last == 0.0;
    if (!none && !(0.0 <= first && first < last && last <= most)) wrong(field, expected);
    return {first, last};
  }

  // Provenance: a string, or an object, of which "name version (key: value, ...)" is made. Empty without the field.
  std::string provenance(const std::string &field) const
  {
    if (!has(field)) return "";
    const json &value = at(field);
    if (value.is_string()) return one_line(value.get<std::string>());
    if (!value.is_object()) wrong(field, "a string or an object");
    const auto text = [](const json &part) {
      return part.is_string() ? part.get<std::string>() : part.dump(-1, ' ', false, json::error_handler_t::replace);
    };
    std::string first, others;
    for (const auto &[key, part] : value.items()) {
      if (key == "name" || key == "version")
        first += (first.empty() ? "" : " ") + text(part);
      else
        others += (others.empty() ? "" : ", ") + key + ": " + text(part);
    }
    if (first.empty() || others.empty()) return one_line(first + others);
    return one_line(first + " (" + others + ")");
  }

  std::vector<std::pair<std::string, double>> errors(const std::string &field) const
  {
    std::vector<std::pair<std::string, double>> result;
    if (!has(field)) return result;
    const std::string expected = "an object of names and numbers";
    if (!at(field).is_object()) wrong(field, expected);
    for (const auto &[key, value] : at(field).items()) {
      if (!value.is_number()) wrong(field, expected);
      result.emplace_back(one_line(key), value.get<double>());
    }
    return result;
  }

  std::vector<std::string> references(const std::string &field) const
  {
    if (!has(field)) return {};
    if (at(field).is_string()) return {at(field).get<std::string>()};
    const std::string expected = "a string or a list of strings";
    for (const json &value : list(field, expected))
      if (!value.is_string()) wrong(field, expected);
    return at(field).get<std::vector<std::string>>();
  }

 private:
  static bool is_word(const std::string &text)
  {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isgraph(c); });
  }

  static std::string quoted(const std::vector<std::string> &words, const std::string &between)
  {
    std::string text;
    for (const std::string &word : words) text += (text.empty() ? "" : between) + '"' + word + '"';
    return text;
  }

  static std::string of_each_element(const std::string &what, std::size_t length)
  {
    return what + " for each of the " + std::to_string(length) + " elements";
  }

  const json &list(const std::string &field, const std::string &expected) const
  {
    if (!at(field).is_array()) wrong(field, expected);
    return at(field);
  }

  std::vector<double> finite_numbers(const std::string &field, std::size_t length, const std::string &expected) const
  {
    std::vector<double> values;
    for (const json &value : list(field, expected)) {
      if (!value.is_number() || !std::isfinite(value.get<double>())) wrong(field, expected);
      values.push_back(value.get<double>());
    }
    if (values.size() != length) wrong(field, expected);
    return values;
  }

  int to_integer(const json &value, int least, int most, const std::string &field, const std::string &expected) const
  {
    // as double: exact for every int, and no wrap-around of what is larger
    if (!value.is_number_integer() || value.get<double>() < least || value.get<double>() > most) wrong(field, expected);
    return value.get<int>();
  }

  json fields_;
  std::string path_;
};

Header read_header(const ZipArchive &archive, const std::string &path)
{
  const std::vector<char> text = archive.read(HEADER);
  const auto fields = parse_json<json>(text.begin(), text.end());
  if (!fields.is_object())
    throw Error(path + ": expected a JSON object in " + HEADER + ", found something else. Export the student again.");
  const Header header(fields, path);
  const std::string expected = FORMAT + " version " + std::to_string(FORMAT_VERSION);
  const json &format = header.at("format"), &version = header.at("format_version");
  if (format != FORMAT || !version.is_number_integer() || version != FORMAT_VERSION)
    throw Error(path + ": expected format " + expected + ", found " + shown(format) + " version " + shown(version) +
                ". Use a plugin that reads it, or export the student again.");
  return header;
}

// As 64 lower-case hexadecimal digits.
std::string sha256_hex(const char *bytes, std::size_t size)
{
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, size, reinterpret_cast<const std::uint8_t *>(bytes));
  std::uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_digest(&context, sizeof digest, digest);

  std::string hex(BASE16_ENCODE_LENGTH(sizeof digest), '\0');
  base16_encode_update(hex.data(), sizeof digest, digest);
  return hex;
}

// SHA-256 over "<sha256 of the record>  <record>\n" of all records but the header, sorted by record. Reads every
// record, hence checks every CRC.
std::string archive_checksum(const ZipArchive &archive)
{
  std::vector<std::string> records = archive.records();
  std::sort(records.begin(), records.end());
  std::string lines;
  for (const std::string &record : records) {
    if (record == HEADER) continue;
    const std::vector<char> content = archive.read(record);
    lines += sha256_hex(content.data(), content.size()) + "  " + record + "\n";
  }
  return sha256_hex(lines.data(), lines.size());
}

// What a header of each kind has besides.
void read_painn(const Header &header, ModelFile &model)
{
  model.dtype = header.fixed("dtype", "float32");
  model.precisions = PRECISIONS;
  model.num_channels = header.integer("num_channels", 2);
  if (model.num_channels % 2 != 0) header.wrong("num_channels", "an even number, since the readout has half as many");
  model.num_radial = header.integer("num_radial", 1);
  if (header.has("norm_epsilon")) model.norm_epsilon = header.positive("norm_epsilon");
  if (header.has("inner_switch")) model.inner_switch = header.range("inner_switch", model.cutoff);
  model.reference_energies = header.numbers("reference_energies", model.elements.size());
  model.zbl_radii = header.numbers("zbl_radii", model.elements.size());
  for (const double radius : model.zbl_radii)    // the repulsion must have ended where a pair leaves the graph
    if (radius <= 0.0 || 2.0 * radius > model.cutoff)
      header.wrong("zbl_radii", "positive numbers up to half the cutoff");
}

void read_custom(const Header &header, ModelFile &model)
{
  model.dtype = header.one_of("dtype", {"float32", "float64"});
  model.precisions = header.some_of("precisions", PRECISIONS, "fp64");
  model.reference_energies = header.numbers("reference_energies", model.elements.size());
  if (header.has("num_parameters")) model.num_parameters = header.integer("num_parameters", 0);
}

// A shape that does not fit is found here, before an engine indexes by it.
void check_weights(const ModelFile &model)
{
  const std::int64_t E = static_cast<std::int64_t>(model.elements.size());
  const std::int64_t F = model.num_channels, T = model.num_interactions, K = model.num_radial;
  const std::string again = ". Export the student again.";

  constexpr std::int64_t per_interaction = 11, others = 5;
  const auto found = static_cast<std::int64_t>(model.weights.size());
  if (found != per_interaction * T + others)
    throw Error(model.path + ": mlff.safetensors: expected " + std::to_string(per_interaction * T + others) +
                " weights for num_interactions = " + std::to_string(T) + ", found " + std::to_string(found) + again);

  const auto text = [](const std::vector<std::int64_t> &shape) { return json(shape).dump(); };
  const auto expect = [&](const std::string &name, const std::vector<std::int64_t> &shape) {
    const auto weight = model.weights.find(name);
    const std::string expected =
        model.path + ": mlff.safetensors: expected the weight '" + name + "' of shape " + text(shape) + ", found ";
    if (weight == model.weights.end()) throw Error(expected + "none of this name" + again);
    if (weight->second.shape != shape) throw Error(expected + text(weight->second.shape) + again);
  };
  const auto expect_linear = [&](const std::string &name, std::int64_t out, std::int64_t in) {
    expect(name + ".weight", {out, in});
    expect(name + ".bias", {out});
  };

  expect("embedding", {E, F});
  for (std::int64_t k = 0; k < T; ++k) {
    const std::string layer = "interactions." + std::to_string(k) + ".";
    expect_linear(layer + "source.0", F, F);
    expect_linear(layer + "source.2", 3 * F, F);
    expect(layer + "filter.weight", {3 * F, K + 1});
    expect(layer + "vector_u.weight", {F, F});
    expect(layer + "vector_v.weight", {F, F});
    expect_linear(layer + "update.0", F, 2 * F);
    expect_linear(layer + "update.2", 3 * F, F);
  }
  expect_linear("energy.0", F / 2, F);
  expect_linear("energy.2", 1, F / 2);
}

}    // namespace

ModelFile::ModelFile(std::vector<char> bytes, const std::string &file_path) : path(file_path), bytes_(std::move(bytes))
{
  const ZipArchive archive(bytes_, path);
  if (!archive.contains(HEADER)) throw_other_archive(archive, path);
  const Header header = read_header(archive, path);

  kind = header.one_of("kind", {"painn", "custom"});
  name = one_line(header.text("name"));
  header.fixed("length_unit", "Angstrom");
  header.fixed("energy_unit", "eV");
  num_interactions = header.integer("num_interactions", 1);
  cutoff = header.positive("cutoff");
  elements = header.symbols("elements");
  atomic_numbers = header.integers("atomic_numbers", elements.size(), 1, 118);
  if (header.has("fp16_gradient_scale")) fp16_gradient_scale = header.positive("fp16_gradient_scale");
  if (is_custom())
    read_custom(header, *this);
  else
    read_painn(header, *this);

  date = header.provenance("date");
  teacher = header.provenance("teacher");
  data = header.provenance("data");
  license = header.provenance("license");
  contributor = header.provenance("contributor");
  errors = header.errors("errors");
  references = header.references("references");

  sha256 = header.text("sha256");
  const std::string found = archive_checksum(archive);
  if (found != sha256)
    throw Error(path + ": the header states the checksum " + one_line(sha256, 64) + ", found " + found +
                ": the file was changed or damaged. Copy it again from its source.");

  if (is_custom()) return;    // its parameters are in the program alone
  weights = parse_safetensors(archive.read(WEIGHTS), path);
  check_weights(*this);
  for (const auto &[weight_name, weight] : weights) num_parameters += static_cast<std::int64_t>(weight.values.size());
  if (header.has("num_parameters") && header.at("num_parameters") != num_parameters)
    header.wrong("num_parameters", std::to_string(num_parameters) + ", as mlff.safetensors has");
}

std::vector<char> ModelFile::read_bytes(const std::string &path)
{
  std::error_code ignored;
  std::ifstream file;
  if (std::filesystem::is_regular_file(path, ignored)) file.open(path, std::ios::binary);    // a pipe would not open
  if (!file.is_open())
    throw Error(path + ": expected a student's file, found none that can be read. Check its name and its permissions.");
  if (const auto size = std::filesystem::file_size(path, ignored); size > MOST_BYTES)
    throw Error(path + ": expected a student's file, found one of " + std::to_string(size) +
                " bytes, more than any has. Name the student's .pt file.");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int ModelFile::element_index(const std::string &symbol) const
{
  const auto found = std::find(elements.begin(), elements.end(), symbol);
  if (found != elements.end()) return static_cast<int>(found - elements.begin());
  std::string known;
  for (const std::string &element : elements) known += " " + element;
  throw Error(path + ": the student '" + name + "' does not know the element '" + symbol + "'; it knows:" + known +
              ". Name one of these, or NULL for a type that it shall not see.");
}

}    // namespace mlff
