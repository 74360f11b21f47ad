// A corpus of bad files: seeded damage to a student, with checksums made anew where the parsers behind them are to be
// reached, and to a compiled student's metadata. Whatever the file, the outcome is a sentence that names it and says what
// to do, or a student that gives finite numbers; never a crash, never a hang.

#include "aot_package.h"
#include "engine.h"
#include "mlff_error.h"
#include "model_file.h"
#include "mutator.h"
#include "student_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>

// LibTorch leaks what it had read of a program when it throws.
extern "C" __attribute__((visibility("default"))) const char *__lsan_default_suppressions()
{
  return "leak:libtorch_cpu.so\n";
}
#endif

namespace {

using mlff::ModelFile;

const std::string NAME = "bad.pt";
constexpr unsigned MOST_SECONDS = 300;    // of a case; the slowest takes one on a machine that is free

// ---------------------------------------------------------------- a case that crashes or hangs is named

char current_case[80];

void tell_case()
{
  [[maybe_unused]] const auto written = write(STDERR_FILENO, current_case, std::strlen(current_case));
}

void tell_and_end(int signal)
{
  tell_case();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

#if defined(__SANITIZE_ADDRESS__)
void watch_memory()
{
  __sanitizer_set_death_callback(tell_case);
}
#else
void watch_memory()
{
  std::signal(SIGSEGV, tell_and_end);
}
#endif

void watch(const std::string &name)
{
  std::snprintf(current_case, sizeof current_case, "\nends in case %s\n", name.c_str());
  watch_memory();
  std::signal(SIGABRT, tell_and_end);
  std::signal(SIGALRM, tell_and_end);
  alarm(MOST_SECONDS);
}

// ---------------------------------------------------------------- outcomes

// A message without what differs from file to file of one kind.
std::string outcome_class(std::string message)
{
  for (const auto &[pattern, replacement] : std::vector<std::pair<const char *, const char *>>{
           {"'mlff export [^']*'", "'mlff export ...'"},
           {"(damaged one|is damaged|student's program) \\(.*\\)\\. ", "$1 (...). "},    // reasons of libraries
           {"(failed in the student's program): [^]*", "$1: ..."},
           {"(^| |\\()'(?!mlff export)[^']*'", "$1'...'"},
           {"the checksum .*, found .*: ", "the checksum ..., found ...: "},
           {"found .*?\\. (Export|Use|Compile)", "found ... $1"},
           {"[0-9]+", "N"}})
    message = std::regex_replace(message, std::regex(pattern), replacement);
  return message.substr(0, 200);
}

class BadFiles : public testing::Test {
 protected:
  // Runs `work` as a case; its outcome is counted.
  void run_case(const std::string &name, const std::function<std::string()> &work)
  {
    watch(name);
    std::string outcome;
    try {
      outcome = work();
    } catch (const mlff::Error &error) {
      const std::string message = error.what();
      EXPECT_TRUE(is_sentence_about(file_, message)) << name << ": " << message.substr(0, 2000);
      outcome = outcome_class(message.compare(0, file_.size(), file_) == 0 ? message.substr(file_.size()) : message);
    } catch (const std::exception &error) {
      ADD_FAILURE() << name << ": expected an mlff::Error, found " << error.what();
    }
    alarm(0);
    ++outcomes()[outcome];
    ++num_cases();
  }

  static bool is_sentence_about(const std::string &file, const std::string &message)
  {
    // from within an evaluation: LibTorch's own words
    if (message.find("LibTorch failed in the student's program: ") == 0) return true;
    const bool names_it = message.compare(0, file.size() + 2, file + ": ") == 0;
    const bool one_line = std::none_of(message.begin(), message.end(), [](unsigned char c) { return c < 0x20; });
    const bool advises = std::regex_search(message, std::regex("(Export|Copy|Name|Make|Get|Use|Check|Compile) .*\\.$"));
    return names_it && one_line && advises && message.size() < 1000;
  }

  static std::map<std::string, int> &outcomes()
  {
    static std::map<std::string, int> counts;
    return counts;
  }
  static int &num_cases()
  {
    static int count = 0;
    return count;
  }

  std::string file_ = NAME;
};

// Reads the bytes as a student and evaluates a small graph with it.
std::string read_and_evaluate(const std::string &bytes)
{
  const ModelFile model({bytes.begin(), bytes.end()}, NAME);
  const auto engine = mlff::make_engine(model, {mlff::Precision::FP64, mlff::Jit::OFF});
  const int last = static_cast<int>(model.elements.size()) - 1;
  const std::array<int, 3> element{0, last, 0};
  const std::array<int, 4> first_edge{0, 2, 3, 4};
  const std::array<int, 4> neighbor{1, 2, 0, 0};
  const std::array<double, 12> rij{0.9, 0.2, 0.1, -1.1, 0.3, 0.8, -0.9, -0.2, -0.1, 1.1, -0.3, -0.8};
  mlff::NoExchange none;
  const mlff::Result result =
      engine->compute({3, 3, 3, 4, element.data(), first_edge.data(), neighbor.data(), rij.data()}, {}, none);
  const auto finite = [](double value) { return std::isfinite(value); };
  EXPECT_TRUE(std::all_of(result.atom_energy, result.atom_energy + 3, finite));
  EXPECT_TRUE(std::all_of(result.gradient, result.gradient + 12, finite));
  return "a student";
}

std::string bytes_of(const std::vector<char> &bytes)
{
  return {bytes.begin(), bytes.end()};
}

std::string packed(const Records &records)
{
  return bytes_of(pack(records));
}

// ---------------------------------------------------------------- damage to bytes

TEST_F(BadFiles, Bytes)
{
  const std::string good = bytes_of(ModelFile::read_bytes(GOOD));
  const std::size_t directory = good.size() - good.find("PK\1\2");
  for (unsigned seed = 0; seed < 700; ++seed) {
    std::string bytes = good;
    Mutator(seed).edit(bytes, directory);
    run_case("bytes " + std::to_string(seed), [&] { return read_and_evaluate(bytes); });
  }
}

// ---------------------------------------------------------------- damage to structures, with checksums made anew

TEST_F(BadFiles, Header)
{
  const Records good = read_records(GOOD);
  for (unsigned seed = 0; seed < 400; ++seed) {
    Records records = good;
    Mutator mutator(seed);
    std::string &header = records[HEADER];
    if (seed % 8 == 0)
      mutator.edit(header);
    else
      header = mutator.edited_text(nlohmann::ordered_json::parse(header));
    run_case("header " + std::to_string(seed), [&] { return read_and_evaluate(packed(records)); });
  }
}

TEST_F(BadFiles, TableOfWeights)
{
  for (unsigned seed = 0; seed < 250; ++seed) {
    Mutator mutator(seed);
    const Records records = changed_records([&](Records &all) {
      std::string &content = all[WEIGHTS];
      Table table(content);
      switch (seed % 5) {
        case 0: {    // the table's length and what follows, in some cases with nothing behind
          std::string head = content.substr(0, 12);
          mutator.edit(head);
          content = head + (seed % 4 == 0 ? "" : content.substr(12));
          break;
        }
        case 1:
          mutator.edit(table.text);
          content = table.content();
          break;
        case 2:
          mutator.edit(table.data);
          content = table.content();
          break;
        default:
          table.text = mutator.edited_text(nlohmann::ordered_json::parse(table.text));
          content = table.content();
      }
    });
    run_case("table " + std::to_string(seed), [&] { return read_and_evaluate(packed(records)); });
  }
}

TEST_F(BadFiles, ZipDirectory)
{
  const std::string good = packed(read_records(GOOD));
  for (unsigned seed = 0; seed < 250; ++seed) {
    std::string bytes = good;
    Mutator(seed).edit_directory(bytes);
    run_case("directory " + std::to_string(seed), [&] { return read_and_evaluate(bytes); });
  }
}

TEST_F(BadFiles, Records)
{
  for (unsigned seed = 0; seed < 100; ++seed) {
    Mutator mutator(seed);
    const Records records = changed_records([&](Records &all) {
      const std::string header = all[HEADER];
      for (std::size_t n = mutator.below(2) + 1; n > 0; --n) {
        const auto chosen = std::next(all.begin(), static_cast<std::ptrdiff_t>(mutator.below(all.size())));
        const std::string record = chosen->first, content = chosen->second;
        switch (mutator.below(4)) {
          case 0:
            all.erase(record);
            break;
          case 1:
            all.erase(record);
            all[record + mutator.one_of<std::string>({"x", "\n", "\x1b[2J", "/", std::string(3000, 'n')})] = content;
            break;
          case 2:
            all[mutator.one_of<std::string>({"/", "../up", "code/more.py", "data/99", "\xff"})] = content;
            break;
          default:
            all[record] = all[std::next(all.begin(), static_cast<std::ptrdiff_t>(mutator.below(all.size())))->first];
        }
      }
      all[HEADER] = header;
    });
    const std::string top = mutator.one_of<std::string>({"any/", "any/", "any/", "", "/", "a\nb/"});
    const int method = mutator.below(8) == 0 ? ZIP_CM_DEFLATE : ZIP_CM_STORE;
    run_case("records " + std::to_string(seed),
             [&] { return read_and_evaluate(bytes_of(pack(records, top, method))); });
  }
}

// Of the program, which LibTorch alone reads: of its text, which it compiles, and of its parameters.
TEST_F(BadFiles, Program)
{
  const std::string program = "code/__torch__/mlff/painn.py";
  for (unsigned seed = 0; seed < 50; ++seed) {
    const Records records = changed_records([&](Records &all) { Mutator(seed).edit(all[program]); });
    run_case("program " + std::to_string(seed), [&] { return read_and_evaluate(packed(records)); });
  }
  const auto with_text = [&](const std::string &from, const std::string &to) {
    return changed_records([&](Records &all) { all[program].replace(all[program].find(from), from.size(), to); });
  };
  const std::map<std::string, Records> cases = {
      {"an axis too many", with_text("linalg_vector_norm(rij, 2, [1], True)", "linalg_vector_norm(rij, 2, [7], True)")},
      {"a parameter less", with_text("__parameters__ = [\"embedding\", ]", "__parameters__ = []")},
      {"another parameter", changed_records([](Records &all) { all["data/0"][2] ^= 1; })},
      {"a parameter cut short", changed_records([](Records &all) { all["data/0"].resize(8); })}};
  for (const auto &[name, records] : cases)
    run_case(name, [records = records] { return read_and_evaluate(packed(records)); });
}

// ---------------------------------------------------------------- compiled students

TEST_F(BadFiles, CompiledStudent)
{
  const ModelFile model(ModelFile::read_bytes(GOOD), GOOD);
  const nlohmann::ordered_json metadata = {
      {"format", "mlff-aot"},      {"format_version", "1"},   {"sha256", model.sha256}, {"device", "cpu"},
      {"precision", "fp32"},       {"torch", "2.11.0+cu130"}, {"cutoff", "5.0"},        {"elements", "H O"},
      {"instruction_set", "avx2"}, {"AOTI_DEVICE_KEY", "cpu"}};
  const std::string gradient = "data/aotinductor/gradient/a_metadata.json";
  const Records good{{gradient, metadata.dump()},
                     {"data/aotinductor/gradient/a.so", std::string(400, 'x')},
                     {"data/aotinductor/energy/b_metadata.json", metadata.dump()}};
  file_ = testing::TempDir() + "mlff-bad.cpu-fp32.pt2";
  for (unsigned seed = 0; seed < 150; ++seed) {
    Mutator mutator(seed);
    Records records = good;
    if (seed % 2 == 0) records[gradient] = mutator.edited_text(metadata);
    if (seed % 8 == 1) mutator.edit(records[gradient]);
    std::string bytes = packed(records);
    if (seed % 8 == 3) mutator.edit_directory(bytes);
    if (seed % 8 >= 5 && seed % 2 == 1) mutator.edit(bytes, bytes.size() / 2);
    std::ofstream(file_, std::ios::binary) << bytes;
    run_case("compiled " + std::to_string(seed), [&] {
      mlff::check_aot_package(file_, model, {mlff::Precision::FP32, mlff::Jit::AOT}, {"2.11.0", "", {"avx2"}});
      return "a package that fits";
    });
  }
  std::filesystem::remove(file_);
}

// ---------------------------------------------------------------- the corpus as a whole

// What the corpus must reach: each line that a parser has for a user.
const std::vector<std::string> SENTENCES = {
    ": expected a student written by 'mlff export' (a zip archive), found an archive whose end is missing: the file is "
    "truncated at N bytes. Copy or download the file again.",
    ": expected a student written by 'mlff export' (a zip archive), found a damaged one (...). Copy or download the "
    "file "
    "again.",
    ": expected a student written by 'mlff export' (a zip archive), found an archive whose records do not share one "
    "top "
    "folder ('...'). Make a student with 'mlff export'.",
    ": expected a student written by 'mlff export', found a TorchScript file without the metadata extra/mlff.json.",
    ": record '...': the archive is damaged (...). Copy or download the file again.",
    ": record '...': expected it stored without compression, found ... Export the student again instead of repacking "
    "it.",
    ": expected a JSON object in extra/mlff.json, found ... Export the student again.",
    ": expected format mlff version N, found ... Use a plugin that reads it, or export the student again.",
    ": the header lacks the field '...'. Export the student again.",
    ": header field '...': expected a string, found ... Export the student again.",
    ": header field '...': expected a positive number, found ... Export the student again.",
    ": header field '...': expected a finite number for each of the N elements, found ... Export the student again.",
    ": header field '...': expected a list of different chemical symbols, found ... Export the student again.",
    ": header field '...': expected an integer of at least N, found ... Export the student again.",
    ": header field '...': expected an integer from N to N for each of the N elements, found ... Export the student "
    "again.",
    ": header field '...': expected an even number, since the readout has half as many, found ... Export the student "
    "again.",
    ": header field '...': expected N, as mlff.safetensors has, found ... Export the student again.",
    ": header field '...': expected an object of names and numbers, found ... Export the student again.",
    ": header field '...': expected a string or an object, found ... Export the student again.",
    ": header field '...': expected a string or a list of strings, found ... Export the student again.",
    ": the header states the checksum ..., found ...: the file was changed or damaged. Copy it again from its source.",
    ": mlff.safetensors: expected a table of weights, found ... Export the student again.",
    ": mlff.safetensors: its table should have N bytes, found ... Export the student again.",
    ": mlff.safetensors: its table is not a JSON object. Export the student again.",
    ": mlff.safetensors: expected N weights for num_interactions = N, found ... Export the student again.",
    ": mlff.safetensors: expected the weight '...' of shape [N,N], found ... Export the student again.",
    ": mlff.safetensors: weight '...': expected an object in the table, found ... Export the student again.",
    ": mlff.safetensors: weight '...': expected dtype FN, found ... Export the student again.",
    ": mlff.safetensors: weight '...': expected data_offsets [begin, end], found ... Export the student again.",
    ": mlff.safetensors: weight '...': its data_offsets N .. N lie outside the N bytes of data. Export the student "
    "again.",
    ": mlff.safetensors: weight '...': expected a shape (a list of lengths), found ... Export the student again.",
    ": mlff.safetensors: weight '...': its shape [N,N] does not fit its N bytes. Export the student again.",
    ": mlff.safetensors: weight '...': it holds values that are not finite. Export the student again.",
    ": mlff.safetensors: two weights overlap at byte N of the data. Export the student again.",
    ": mlff.safetensors: there is a gap between two weights at byte N of the data. Export the student again.",
    ": mlff.safetensors: its weights end at byte N of N. Export the student again.",
    ": expected the program's parameter '...' to equal the one in mlff.safetensors, found ... Export the student "
    "again.",
    ": expected a program with the N parameters of mlff.safetensors, found ... Export the student again.",
    ": expected a record of N bytes for a tensor of the student's program, found ... Export the student again.",
    ": LibTorch N.N.N cannot load the student's program (...). Export the student again, with a Torch that is not "
    "newer.",
    "LibTorch failed in the student's program: ...",
    ": expected a student compiled by 'mlff export ...', found ... Compile it with 'mlff export ...'.",
};

// Two thirds of it: the third of script lines is pair_mlff/test_bad_lines.py. Tests run in the order in which they stand.
TEST_F(BadFiles, GiveManyDifferentSentences)
{
  std::printf("%d cases:\n", num_cases());
  for (const auto &[outcome, count] : outcomes()) std::printf("%5d %s\n", count, outcome.c_str());
  if (testing::UnitTest::GetInstance()->test_to_run_count() < 8) return;    // of a selection by hand
  EXPECT_GE(num_cases(), 1500);
  EXPECT_GE(outcomes().size(), SENTENCES.size());
  for (const std::string &sentence : SENTENCES)
    EXPECT_TRUE(std::any_of(outcomes().begin(), outcomes().end(),
                            [&](const auto &outcome) { return outcome.first.find(sentence) == 0; }))
        << "no case led to: " << sentence;
}

}    // namespace
