#include "aot_package.h"

#include "json_text.h"
#include "mlff_error.h"
#include "model_file.h"
#include "text.h"
#include "zip_archive.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace mlff {

namespace {

using json = nlohmann::json;
using Metadata = std::map<std::string, std::string>;

const std::string FORMAT = "mlff-aot";
const std::string FORMAT_VERSION = "1";
constexpr const char *MODELS[] = {"gradient", "energy"};

// Instruction sets as a package names them, and the one of Linux's names for which a processor must be asked. Others (Arm,
// POWER) are what every processor of their kind has.
const std::map<std::string, std::string> INSTRUCTIONS = {
    {"avx2", "avx2"}, {"avx512", "avx512f"}, {"avx512_vnni", "avx512_vnni"}, {"amx_tile", "amx_tile"}};

const char *device_of(const EngineSettings &settings)
{
  return settings.device.gpu < 0 ? "cpu" : "cuda";
}

std::string command(const ModelFile &model, const EngineSettings &settings)
{
  return "'mlff export " + model.path + " --aot --device " + device_of(settings) + " --precision " +
      name_of(settings.precision) + "'";
}

std::vector<std::string> words_of(const std::string &text)
{
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::string joined(const std::vector<std::string> &words)
{
  std::string text;
  for (const std::string &word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// What a file holds, for a message: one short line.
std::string shown(const std::string &text)
{
  return text.empty() ? "none" : one_line(text, 80);
}

// Whatever the locale is; 0 for what is no number.
double number_in(const std::string &text)
{
  double number = 0.0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// "2.11.0" of "2.11.0+cu130"
std::string release_of(const std::string &version)
{
  return version.substr(0, version.find('+'));
}

// The records of a package that hold metadata. Every record is read, which checks its CRC.
std::vector<Metadata> read_metadata(const ZipArchive &archive, const std::string &model)
{
  const std::string folder = "data/aotinductor/" + model + "/", end = "_metadata.json";
  std::vector<Metadata> result;
  for (const std::string &record : archive.records()) {
    const std::vector<char> content = archive.read(record);
    if (record.compare(0, folder.size(), folder) != 0 || record.size() < end.size() ||
        record.compare(record.size() - end.size(), end.size(), end) != 0)
      continue;
    const auto fields = parse_json<json>(content.begin(), content.end());
    Metadata metadata;
    for (const auto &[key, value] : fields.items())
      if (value.is_string()) metadata[key] = value.get<std::string>();
    result.push_back(metadata);
  }
  return result;
}

// A package's metadata against a run. Every refusal names the file and the remedy.
class Check {
 public:
  Check(const std::string &path, const ModelFile &model, const EngineSettings &settings) :
      path_(path), command_(command(model, settings))
  {
  }

  [[noreturn]] void refuse(const std::string &expected, const std::string &found, const std::string &how = "") const
  {
    throw Error(path_ + ": expected " + expected + ", found " + found + ". Compile it" +
                (how.empty() ? "" : " " + how) + " with " + command_ + ".");
  }

  // Field `field` has the value `expected`; `what` says what for.
  void equal(const Metadata &metadata, const std::string &field, const std::string &what, const std::string &expected,
             const std::string &how = "") const
  {
    const std::string found = value(metadata, field);
    if (found != expected) refuse("a student compiled for " + what + " " + expected, shown(found), how);
  }

  static std::string value(const Metadata &metadata, const std::string &field)
  {
    const auto found = metadata.find(field);
    return found == metadata.end() ? "" : found->second;
  }

 private:
  std::string path_, command_;
};

void check_metadata(const Check &check, const Metadata &metadata, const ModelFile &model,
                    const EngineSettings &settings, const AotHost &host)
{
  const auto value = [&](const char *field) { return Check::value(metadata, field); };
  if (value("format") != FORMAT) check.refuse("a student compiled by 'mlff export --aot'", "a package of another kind");
  if (value("format_version") != FORMAT_VERSION)
    check.refuse("format " + FORMAT + " version " + FORMAT_VERSION, "version " + shown(value("format_version")),
                 "again");
  check.equal(metadata, "device", "the device", device_of(settings));
  check.equal(metadata, "precision", "the precision", name_of(settings.precision));
  if (value("sha256") != model.sha256)
    check.refuse("the student with the checksum " + model.sha256,
                 "one with " + shown(value("sha256")) + ": another student, or this one before it was exported anew",
                 "again");
  if (number_in(value("cutoff")) != model.cutoff) {
    std::ostringstream cutoff;
    cutoff << model.cutoff;
    check.refuse("a student with the cutoff " + cutoff.str(), shown(value("cutoff")), "again");
  }
  if (words_of(value("elements")) != model.elements)
    check.refuse("a student of the elements " + joined(model.elements), shown(value("elements")), "again");
  if (release_of(value("torch")) != release_of(host.torch))
    check.refuse("a student compiled with Torch " + release_of(host.torch) + ", as this plugin's LibTorch is",
                 "one compiled with " + shown(release_of(value("torch"))),
                 "again, with Torch " + release_of(host.torch) + ",");
  if (settings.device.gpu >= 0) {
    check.equal(metadata, "compute_capability", "this GPU's compute capability", host.compute_capability,
                "on this machine");
    return;
  }
  const std::vector<std::string> &has = host.instructions;
  for (const std::string &set : words_of(value("instruction_set"))) {
    const auto known = INSTRUCTIONS.find(set);
    if (has.empty() || known == INSTRUCTIONS.end() || std::find(has.begin(), has.end(), known->second) != has.end())
      continue;
    check.refuse("machine code for this processor",
                 "instructions that it lacks (" + shown(set) + "): another machine's", "on this machine");
  }
}

}    // namespace

std::vector<std::string> cpu_instructions()
{
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.compare(0, 5, "flags") == 0) return words_of(line);
  return {};
}

void check_aot_package(const std::string &path, const ModelFile &model, const EngineSettings &settings,
                       const AotHost &host)
{
  const Check check(path, model, settings);
  const std::string expected = "the student " + model.path + " compiled for this run";
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) check.refuse(expected, "no such file");
  const std::vector<char> bytes = ModelFile::read_bytes(path);

  for (const char *name : MODELS) {
    std::vector<Metadata> found;
    try {
      found = read_metadata(ZipArchive(bytes, path), name);
    } catch (const Error &) {    // speaks of students
      check.refuse(expected, "another file, or a truncated or damaged one", "again");
    }
    if (found.empty()) check.refuse("a student compiled by 'mlff export --aot'", "a zip archive of another kind");
    for (const Metadata &metadata : found) check_metadata(check, metadata, model, settings, host);
  }
}

std::string aot_package_path(const std::string &student_path, const EngineSettings &settings)
{
  const std::filesystem::path path(student_path);
  return path.parent_path() /
      (path.stem().string() + "." + device_of(settings) + "-" + name_of(settings.precision) + ".pt2");
}

}    // namespace mlff
