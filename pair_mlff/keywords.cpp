#include "keywords.h"

#include "mlff_error.h"

#include <algorithm>
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
  std::vector<Choice> choices;    // none: the whole keyword comes later
};

const std::vector<Keyword> &known_keywords()
{
  const auto nothing = [](Keywords &) {};
  static const std::vector<Keyword> keywords{{"engine", {{"auto", nothing}, {"torch", nothing}, {"fused", {}}}},
                                             {"precision",
                                              {{"fp64", [](Keywords &k) { k.precision = Precision::FP64; }},
                                               {"fp32", [](Keywords &k) { k.precision = Precision::FP32; }},
                                               {"tf32", [](Keywords &k) { k.precision = Precision::TF32; }},
                                               {"bf16", [](Keywords &k) { k.precision = Precision::BF16; }},
                                               {"fp16", [](Keywords &k) { k.precision = Precision::FP16; }}}},
                                             {"jit",
                                              {{"off", [](Keywords &k) { k.jit = Jit::OFF; }},
                                               {"script", [](Keywords &k) { k.jit = Jit::SCRIPT; }},
                                               {"freeze", [](Keywords &k) { k.jit = Jit::FREEZE; }},
                                               {"aot", {}}}},
                                             {"ghosts", {}},
                                             {"graph", {}},
                                             {"chunk", {}},
                                             {"check", {}}};
  return keywords;
}

// The names for a message: "off, script or freeze".
template <typename T, typename Name, typename Keep> std::string list_names(const T &items, Name name, Keep keep)
{
  std::vector<std::string> names;
  for (const auto &item : items)
    if (keep(item)) names.push_back(name(item));
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return text;
}

std::string usable_keywords()
{
  return list_names(
      known_keywords(), [](const Keyword &k) { return k.name; }, [](const Keyword &k) { return !k.choices.empty(); });
}

std::string usable_choices(const Keyword &keyword)
{
  return list_names(
      keyword.choices, [](const Choice &c) { return c.word; }, [](const Choice &c) { return bool(c.set); });
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
    if (choice == keyword->choices.end())
      throw Error("pair_style mlff: expected " + usable_choices(*keyword) + " after keyword '" + words[i] +
                  "', found '" + word + "'.");
    if (!choice->set)
      throw Error("pair_style mlff: '" + words[i] + " " + word +
                  "' is planned for a later version of this plugin. Use " + usable_choices(*keyword) + " instead.");
    choice->set(result);
  }
  return result;
}

}    // namespace mlff
