// Seeded damage to bytes, JSON texts and zip archives, for tests of what reads them.
#pragma once

#include <nlohmann/json.hpp>

#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

class Mutator {
 public:
  using Json = nlohmann::ordered_json;

  explicit Mutator(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t size)    // 0 .. size-1, 0 of nothing
  {
    return size == 0 ? 0 : std::uniform_int_distribution<std::size_t>(0, size - 1)(random_);
  }
  template <class T> const T &one_of(const std::vector<T> &values) { return values[below(values.size())]; }

  // One to three edits. Half of them fall into the last `tail` bytes.
  void edit(std::string &bytes, std::size_t tail = 0)
  {
    for (std::size_t n = below(3) + 1; n > 0; --n) edit_once(bytes, tail);
  }

  // The text of `document` with one to three of its values or keys changed.
  std::string edited_text(Json document)
  {
    for (std::size_t n = below(3) + 1; n > 0; --n) edit_value(document);
    std::string text = document.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (const auto found = text.find(DEEP); found != std::string::npos) {    // deeper than any stack
      text.replace(found - 1, DEEP.size() + 2, std::string(DEPTH, '[') + std::string(DEPTH, ']'));
    }
    return text;
  }

  // One to three fields of the directory, of a record's own header or of the archive's end.
  void edit_directory(std::string &archive)
  {
    for (std::size_t n = below(3) + 1; n > 0; --n) edit_field(archive);
  }

 private:
  static inline const std::string DEEP = "as deep as can be";
  static constexpr std::size_t DEPTH = 200000;

  struct Field {
    std::size_t offset, size;
  };
  // Offsets from the signature of each structure; APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
  static inline const std::vector<Field> OF_RECORD = {{4, 2},  {6, 2},  {8, 2},  {10, 2}, {12, 2}, {14, 4},
                                                      {18, 4}, {22, 4}, {26, 2}, {28, 2}, {30, 1}};
  static inline const std::vector<Field> OF_ENTRY = {{4, 2},  {6, 2},  {8, 2},  {10, 2}, {12, 2}, {14, 2},
                                                     {16, 4}, {20, 4}, {24, 4}, {28, 2}, {30, 2}, {32, 2},
                                                     {34, 2}, {36, 2}, {38, 4}, {42, 4}, {46, 1}, {50, 1}};
  static inline const std::vector<Field> OF_END = {{4, 2}, {6, 2}, {8, 2}, {10, 2}, {12, 4}, {16, 4}, {20, 2}};

  void edit_once(std::string &bytes, std::size_t tail)
  {
    const std::size_t size = bytes.size();
    std::size_t at = below(size);
    if (tail > 0 && tail < size && below(2) == 0) at = size - tail + below(tail);
    const std::size_t length = std::min(below(below(2) == 0 ? 8 : 4096) + 1, size - at);
    if (size == 0) {
      bytes.push_back(static_cast<char>(below(256)));
      return;
    }
    switch (below(8)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(below(256));
        break;
      case 2:
        bytes.erase(at, length);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, length));
        break;
      case 4:
        bytes.replace(at, length, std::string(length, one_of<char>({'\0', '\xff', ' '})));
        break;
      case 5:
        bytes.resize(at);
        break;
      case 6:
        for (std::size_t k = 0; k < length; ++k) bytes[at + k] = static_cast<char>(below(256));
        break;
      default:
        bytes.insert(at, std::string(length, static_cast<char>(below(256))));
    }
  }

  Json hostile_value()
  {
    const std::vector<Json> values = {nullptr,
                                      true,
                                      0,
                                      1,
                                      -1,
                                      7,
                                      1.5,
                                      -0.0,
                                      1e-320,
                                      1e308,
                                      std::numeric_limits<std::int64_t>::min(),
                                      std::numeric_limits<std::uint64_t>::max(),
                                      std::int64_t{1} << 31,
                                      std::int64_t{1} << 32,
                                      "",
                                      "1",
                                      "text",
                                      std::string("zero\0inside", 11),
                                      "a line\nand\x1b[2J another",
                                      "\xc3\x85ngstr\xc3\xb6m",
                                      std::string(20000, 'x'),
                                      Json::array(),
                                      Json::object(),
                                      Json::array({1, "two", nullptr}),
                                      Json::array({Json::array(), Json::object()}),
                                      Json(std::vector<int>(3000, 0)),
                                      Json{{"name", "inner"}, {"list", {1, 2}}},
                                      DEEP};
    return one_of(values);
  }

  void edit_value(Json &document)
  {
    Json *value = &document;    // at the second level or below, but for the unlucky
    do {
      if (value->empty() || !value->is_structured()) break;
      Json *parent = value;
      const auto chosen = std::next(parent->begin(), static_cast<std::ptrdiff_t>(below(parent->size())));
      value = &*chosen;
      const std::size_t action = below(8);
      if (action == 0) {
        parent->erase(chosen);
        return;
      }
      if (action == 1 && parent->is_object()) {
        const std::string key = chosen.key() + one_of<std::string>({"x", std::string(1, '\0'), "\n", ""});
        const Json moved = *value;
        parent->erase(chosen);
        (*parent)[below(2) == 0 ? key : one_of<std::string>({"", "__metadata__", std::string(9000, 'k')})] = moved;
        return;
      }
      if (action == 2) {
        if (parent->is_array()) parent->push_back(*value);
        if (parent->is_object()) (*parent)["another" + std::to_string(below(10))] = hostile_value();
        return;
      }
      if (action == 3 && parent->size() > 1) {    // another's value
        const auto other = std::next(parent->begin(), static_cast<std::ptrdiff_t>(below(parent->size())));
        const Json copy = *other;
        *value = copy;
        return;
      }
      if (action >= 4 && action < 7 && value->is_number()) {
        *value = value->get<double>() + one_of<double>({1, -1, 4, -4, 1e9, 0.5});
        if (below(2) == 0) *value = static_cast<std::int64_t>(value->get<double>());
        return;
      }
    } while (below(3) > 0);
    *value = hostile_value();
  }

  void edit_field(std::string &archive)
  {
    const std::string end = "PK\5\6", entry = "PK\1\2", record = "PK\3\4";
    const std::size_t where = below(8);
    const std::string &signature = where < 4 ? entry : where < 7 ? record : end;
    const Field field = one_of(where < 4 ? OF_ENTRY : where < 7 ? OF_RECORD : OF_END);
    std::vector<std::size_t> places;
    for (std::size_t at = archive.find(signature); at != std::string::npos; at = archive.find(signature, at + 1))
      if (at + field.offset + field.size <= archive.size()) places.push_back(at);
    if (places.empty()) return;

    std::uint32_t value = 0;
    char *bytes = archive.data() + one_of(places) + field.offset;
    std::memcpy(&value, bytes, field.size);
    switch (below(6)) {
      case 0:
        value = 0;
        break;
      case 1:
        value = 0xffffffff;
        break;
      case 2:
        value += one_of<std::uint32_t>({1, 0xffffffff, 4, 64});
        break;
      case 3:
        value ^= 1U << below(8 * field.size);
        break;
      case 4:
        value = static_cast<std::uint32_t>(below(archive.size() + 2));
        break;
      default:
        std::memcpy(&value, archive.data() + one_of(places) + field.offset, field.size);
    }
    std::memcpy(bytes, &value, field.size);
  }

  std::mt19937 random_;
};
