#include "keywords.h"

#include "mlff_error.h"

#include <algorithm>
#include <charconv>
#include <functional>

namespace mlff {

namespace {

// A word that may follow a keyword; `set` is empty for what the manual announces but this version cannot do.
struct Choice {
  const char *word;
  std::function<void(Keywords &)> set;
};

struct Keyword {
  const char *name;
  std::vector<Choice> choices;                             // none: the whole keyword comes later
  std::function<void(Keywords &, int)> set_number = {};    // where a positive number may follow as well
};

const std::vector<Keyword> &known_keywords()
{
  const auto nothing = [](Keywords &) {};
  const auto precision = [](Precision p) { return Choice{name_of(p), [p](Keywords &k) { k.precision = p; }}; };
  const auto jit = [](Jit j) { return Choice{name_of(j), [j](Keywords &k) { k.jit = j; }}; };
  const auto ghosts = [](const char *word, Ghosts g) { return Choice{word, [g](Keywords &k) { k.ghosts = g; }}; };
  const auto check = [](const char *word, Check::When w) {
    return Choice{word, [w](Keywords &k) { k.check = {w, 0}; }};
  };
  static const std::vector<Keyword> keywords{
      {"engine", {{"auto", nothing}, {"torch", nothing}, {"fused", {}}}},
      {"precision",
       {precision(Precision::FP64), precision(Precision::FP32), precision(Precision::TF32), precision(Precision::BF16),
        precision(Precision::FP16)}},
      {"jit", {jit(Jit::OFF), jit(Jit::SCRIPT), jit(Jit::FREEZE), jit(Jit::AOT)}},
      {"ghosts", {ghosts("auto", Ghosts::AUTO), ghosts("exchange", Ghosts::EXCHANGE), ghosts("halo", Ghosts::HALO)}},
      {"graph", {}},
      {"chunk", {{"auto", [](Keywords &k) { k.chunk = 0; }}}, [](Keywords &k, int atoms) { k.chunk = atoms; }},
      {"check",
       {check("auto", Check::When::AUTO), check("off", Check::When::OFF), check("setup", Check::When::SETUP)},
       [](Keywords &k, int steps) {
         k.check = {Check::When::EVERY, steps};
       }}};
  return keywords;
}

// The names for a message: "off, script or freeze".
std::string list_names(const std::vector<std::string> &names)
{
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return text;
}

std::string usable_keywords()
{
  std::vector<std::string> names;
  for (const Keyword &keyword : known_keywords())
    if (!keyword.choices.empty()) names.emplace_back(keyword.name);
  return list_names(names);
}

std::string usable_choices(const Keyword &keyword)
{
  std::vector<std::string> names;
  for (const Choice &choice : keyword.choices)
    if (choice.set) names.emplace_back(choice.word);
  if (keyword.set_number) names.emplace_back("a positive number");
  return list_names(names);
}

// 0 for any other word.
int positive_number(const std::string &word)
{
  int value = 0;
  const auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), value);
  return failure == std::errc() && end == word.data() + word.size() ? std::max(value, 0) : 0;
}

void check_combination(const Keywords &keywords)
{
  const std::string refused = "pair_style mlff: expected 'jit off', 'script' or 'freeze' with ";
  if (keywords.jit != Jit::AOT) return;
  if (keywords.ghosts == Ghosts::EXCHANGE)
    throw Error(refused +
                "'ghosts exchange', found 'jit aot': a compiled student runs as a whole. Use 'ghosts auto' or 'halo'.");
  if (keywords.chunk > 0)
    throw Error(refused + "'chunk " + std::to_string(keywords.chunk) +
                "', found 'jit aot': a compiled student runs as a whole. Use 'chunk auto'.");
}

}    // namespace

Keywords parse_keywords(const std::vector<std::string> &words)
{
  Keywords result;
  for (size_t i = 0; i < words.size(); i += 2) {
    const auto &all = known_keywords();
    const auto keyword = std::find_if(all.begin(), all.end(), [&](const Keyword &k) { return words[i] == k.name; });
    if (keyword == all.end())
      throw Error("pair_style mlff: expected a keyword (" + usable_keywords() + "), found '" + words[i] + "'.");
    if (keyword->choices.empty())
      throw Error(
          "pair_style mlff: keyword '" + words[i] +
          "' is planned for a later version of this plugin and does nothing yet. Remove it; keywords today are " +
          usable_keywords() + ".");
    if (i + 1 == words.size())
      throw Error("pair_style mlff: expected " + usable_choices(*keyword) + " after keyword '" + words[i] +
                  "', found the end of the command.");

    const std::string &word = words[i + 1];
    const auto choice =
        std::find_if(keyword->choices.begin(), keyword->choices.end(), [&](const Choice &c) { return word == c.word; });
    if (const int number = positive_number(word); number > 0 && keyword->set_number) {
      keyword->set_number(result, number);
      continue;
    }
    if (choice == keyword->choices.end())
      throw Error("pair_style mlff: expected " + usable_choices(*keyword) + " after keyword '" + words[i] +
                  "', found '" + word + "'.");
    if (!choice->set)
      throw Error("pair_style mlff: '" + words[i] + " " + word +
                  "' is planned for a later version of this plugin. Use " + usable_choices(*keyword) + " instead.");
    choice->set(result);
  }
  check_combination(result);
  return result;
}

void check_engine(const Keywords &keywords, const Engine &engine)
{
  if (keywords.ghosts == Ghosts::EXCHANGE && !engine.exchanges_rows())
    throw Error(
        "pair_style mlff: expected 'ghosts auto' or 'halo' for a student of kind custom, found 'ghosts exchange': "
        "such a module runs as a whole, without a stop for an exchange. Use 'ghosts auto'.");
}

}    // namespace mlff
