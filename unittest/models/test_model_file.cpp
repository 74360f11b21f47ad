// ModelFile reads the released format, and says of each broken file what is wrong with it. Every case starts from the
// good reference file and breaks one thing; the assertions are on the words that a user needs.

#include "mlff_error.h"
#include "model_file.h"
#include "student_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

namespace {

using json = nlohmann::ordered_json;
using mlff::ModelFile;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// ---------------------------------------------------------------- files made for a test

Records good_records()
{
  return read_records(GOOD);
}

std::vector<char> with_records(const std::function<void(Records &)> &change)
{
  return pack(changed_records(change));
}

std::vector<char> with_header(const std::function<void(json &)> &change)
{
  Records records = good_records();
  json header = json::parse(records[HEADER]);
  change(header);
  records[HEADER] = header.dump();
  return pack(records);
}

std::vector<char> with_field(const std::string &field, const json &value)
{
  return with_header([&](json &header) { header[field] = value; });
}

// The table of weights changed, its data left as they are.
std::vector<char> with_table(const std::function<void(json &)> &change)
{
  return with_records([&](Records &records) {
    Table parts(records[WEIGHTS]);
    json table = json::parse(parts.text);
    change(table);
    parts.text = table.dump();
    records[WEIGHTS] = parts.content();
  });
}

std::vector<char> bytes_of(const std::string &text)
{
  return {text.begin(), text.end()};
}

std::size_t find_in(const std::vector<char> &bytes, const std::string &text)
{
  const auto found = std::search(bytes.begin(), bytes.end(), text.begin(), text.end());
  if (found == bytes.end()) throw std::runtime_error("the file does not hold " + text);
  return found - bytes.begin();
}

// What a user reads; always with the file's name.
std::string message_of(std::vector<char> bytes)
{
  try {
    ModelFile(std::move(bytes), "folder/broken.pt");
  } catch (const mlff::Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("folder/broken.pt"));
    return error.what();
  }
  return "no error";
}

ModelFile good()
{
  return ModelFile(ModelFile::read_bytes(GOOD), GOOD);
}

// ---------------------------------------------------------------- the released format

TEST(ModelFile, ReadsTheReleasedFormat)
{
  const ModelFile model = good();
  EXPECT_EQ(model.path, GOOD);
  EXPECT_EQ(model.kind, "painn");
  EXPECT_EQ(model.name, "painn-tiny-v1");
  EXPECT_EQ(model.num_channels, 16);
  EXPECT_EQ(model.num_interactions, 2);
  EXPECT_EQ(model.num_radial, 8);
  EXPECT_EQ(model.cutoff, 5.0);
  EXPECT_THAT(model.elements, ElementsAre("H", "O"));
  EXPECT_THAT(model.atomic_numbers, ElementsAre(1, 8));
  EXPECT_THAT(model.reference_energies, ElementsAre(-0.6, -0.87));
  EXPECT_THAT(model.zbl_radii, ElementsAre(0.31, 0.66));
  EXPECT_EQ(model.dtype, "float32");
  EXPECT_EQ(model.sha256.size(), 64u);
  EXPECT_EQ(model.bytes(), ModelFile::read_bytes(GOOD));
}

TEST(ModelFile, ReadsTheProvenance)
{
  const ModelFile model = good();
  EXPECT_EQ(model.date, "2026-11-25");
  EXPECT_EQ(model.teacher, "none: random weights");
  EXPECT_EQ(model.data, "none 1 (made_by: unittest/reference/make_reference.py)");
  EXPECT_EQ(model.license, "MIT");
  EXPECT_EQ(model.contributor, "the tests");
  EXPECT_THAT(model.references, ElementsAre(HasSubstr("@misc{mlff-reference")));
  EXPECT_THAT(model.errors,
              ElementsAre(testing::Pair("energy MAE [meV/atom]", 0.0), testing::Pair("force MAE [meV/A]", 0.0)));
}

TEST(ModelFile, ReadsTheWeights)
{
  const ModelFile model = good();
  EXPECT_EQ(model.weights.size(), 27u);
  EXPECT_EQ(model.num_parameters, 6929);
  EXPECT_EQ(model.norm_epsilon, 1e-8);    // this file has neither field
  EXPECT_THAT(model.inner_switch, ElementsAre(0.0, 0.0));
  EXPECT_THAT(model.weights.at("interactions.1.filter.weight").shape, ElementsAre(48, 9));
  EXPECT_THAT(model.weights.at("energy.2.bias").shape, ElementsAre(1));
  // the first and last value of the embedding as the record holds them
  const std::string content = good_records()[WEIGHTS];
  std::uint64_t size = 0;
  std::memcpy(&size, content.data(), sizeof size);
  const json entry = json::parse(content.substr(sizeof size, size))["embedding"];
  const std::vector<float> &values = model.weights.at("embedding").values;
  ASSERT_EQ(values.size(), 32u);
  float first, last;
  std::memcpy(&first, content.data() + sizeof size + size + entry["data_offsets"][0].get<int>(), sizeof first);
  std::memcpy(&last, content.data() + sizeof size + size + entry["data_offsets"][1].get<int>() - sizeof last,
              sizeof last);
  EXPECT_EQ(values.front(), first);
  EXPECT_EQ(values.back(), last);
}

TEST(ModelFile, TheNameOfTheTopFolderMeansNothing)
{
  EXPECT_EQ(ModelFile(pack(good_records(), "renamed/"), "renamed.pt").sha256, good().sha256);
}

TEST(ModelFile, ProvenanceIsOptionalAndOneLine)
{
  const ModelFile without(
      with_header([](json &header) {
        for (const char *field : {"date", "teacher", "data", "license", "contributor", "errors", "references"})
          header.erase(field);
      }),
      "a.pt");
  EXPECT_EQ(without.teacher + without.data + without.date + without.license + without.contributor, "");
  EXPECT_TRUE(without.errors.empty() && without.references.empty());

  const json teacher = {{"name", "7net"}, {"version", "0.13"}, {"modal", "R2SCAN"}, {"note", "a\nb"}};
  EXPECT_EQ(ModelFile(with_field("teacher", teacher), "a.pt").teacher, "7net 0.13 (modal: R2SCAN, note: a b)");
}

TEST(ModelFile, FindsElements)
{
  const ModelFile model = good();
  EXPECT_EQ(model.element_index("H"), 0);
  EXPECT_EQ(model.element_index("O"), 1);
  try {
    model.element_index("Xe");
    FAIL() << "an element that the student does not know was found";
  } catch (const mlff::Error &error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("'Xe'"), HasSubstr("knows: H O"), HasSubstr("painn-tiny-v1.pt")));
  }
}

// ---------------------------------------------------------------- not a student

TEST(BrokenFile, Missing)
{
  try {
    ModelFile::read_bytes("no/such/file.pt");
    FAIL() << "a missing file was read";
  } catch (const mlff::Error &error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("no/such/file.pt"), HasSubstr("Check its name")));
  }
  EXPECT_THROW(ModelFile::read_bytes(reference_file("")), mlff::Error);    // a folder
}

TEST(BrokenFile, Empty)
{
  EXPECT_THAT(message_of({}), AllOf(HasSubstr("empty file"), HasSubstr("again")));
}

TEST(BrokenFile, WebPage)
{
  EXPECT_THAT(message_of(bytes_of("\n<!DOCTYPE html><html>404</html>")), HasSubstr("HTML"));
}

TEST(BrokenFile, Text)
{
  EXPECT_THAT(message_of(bytes_of("units metal\n")), HasSubstr("text file"));
}

TEST(BrokenFile, LfsPointer)
{
  EXPECT_THAT(message_of(bytes_of("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
              HasSubstr("git lfs pull"));
}

TEST(BrokenFile, PickleOfAnOldPyTorch)
{
  EXPECT_THAT(message_of(bytes_of(std::string("\x80\x02\x8a\nl\xfc\x9c", 7))),
              AllOf(HasSubstr("raw checkpoint"), HasSubstr("mlff export")));
}

TEST(BrokenFile, OtherBytes)
{
  EXPECT_THAT(message_of(bytes_of(std::string("\x7f"
                                              "ELF\0\1",
                                              6))),
              HasSubstr("binary file of another kind"));
}

TEST(BrokenFile, TorchScriptWithoutMetadata)
{
  Records records = good_records();
  records.erase(HEADER);
  records.erase(WEIGHTS);
  EXPECT_THAT(message_of(pack(records)), AllOf(HasSubstr("TorchScript"), HasSubstr("mlff export")));
}

// Records as torch.save of PyTorch 2.11 writes them.
TEST(BrokenFile, RawCheckpoint)
{
  const Records records{
      {"data.pkl", "x"}, {".format_version", "1"}, {"byteorder", "little"}, {"data/0", "x"}, {"version", "3"}};
  EXPECT_THAT(message_of(pack(records)), AllOf(HasSubstr("raw checkpoint"), HasSubstr("mlff export")));
}

// Records as torch.export.save and aoti_compile_and_package of PyTorch 2.11 write them.
TEST(BrokenFile, Pt2Package)
{
  const Records exported{
      {"models/model.json", "{}"}, {"archive_format", "pt2"}, {"archive_version", "0"}, {"byteorder", "little"}};
  const Records compiled{
      {"data/aotinductor/model/a.wrapper.so", "x"}, {"archive_format", "pt2"}, {"archive_version", "0"}};
  for (const Records &records : {exported, compiled})
    EXPECT_THAT(message_of(pack(records)), AllOf(HasSubstr(".pt2 package"), HasSubstr("Name the student's .pt file")));
}

TEST(BrokenFile, OtherArchive)
{
  EXPECT_THAT(message_of(pack({{"readme.txt", "x"}})), HasSubstr("another zip archive"));
  EXPECT_THAT(message_of(pack({{"readme.txt", "x"}}, "")), HasSubstr("top folder"));
}

// ---------------------------------------------------------------- a damaged student

TEST(BrokenFile, Truncated)
{
  const std::vector<char> bytes = ModelFile::read_bytes(GOOD);
  for (const std::size_t size : {std::size_t{100}, bytes.size() / 2, bytes.size() - 1})
    EXPECT_THAT(message_of({bytes.begin(), bytes.begin() + size}), AllOf(HasSubstr("truncated"), HasSubstr("again")))
        << size;
}

TEST(BrokenFile, FlippedByteOfAWeight)
{
  std::vector<char> bytes = ModelFile::read_bytes(GOOD);
  const std::string embedding = good_records()["data/0"];
  bytes[find_in(bytes, embedding) + 5] ^= 1;
  EXPECT_THAT(message_of(bytes), AllOf(HasSubstr("CRC"), HasSubstr("Copy or download the file again")));
}

TEST(BrokenFile, FlippedByteOfTheHeader)
{
  std::vector<char> bytes = ModelFile::read_bytes(GOOD);
  bytes[find_in(bytes, "\"cutoff\": 5.0") + 10] = '6';
  EXPECT_THAT(message_of(bytes), AllOf(HasSubstr(HEADER), HasSubstr("CRC")));
}

// Every CRC fits, but the program is another one.
TEST(BrokenFile, ExchangedRecord)
{
  Records records = good_records();
  records["data/0"][5] ^= 1;
  EXPECT_THAT(message_of(pack(records)), AllOf(HasSubstr("checksum"), HasSubstr("changed or damaged")));
}

TEST(BrokenFile, AddedRecord)
{
  Records records = good_records();
  records["code/more.py"] = "x";
  EXPECT_THAT(message_of(pack(records)), HasSubstr("checksum"));
}

TEST(BrokenFile, Recompressed)
{
  EXPECT_THAT(message_of(pack(good_records(), "any/", ZIP_CM_DEFLATE)), HasSubstr("without compression"));
}

// A record of 2^32 - 2 bytes, says the directory: found before memory is asked for.
TEST(BrokenFile, HostileSizeOfARecord)
{
  std::vector<char> bytes = ModelFile::read_bytes(GOOD);
  const std::size_t directory = find_in(bytes, "PK\1\2");    // of the first record: sizes at 20 and 24
  const std::uint32_t size = 0xfffffffe;
  std::memcpy(bytes.data() + directory + 20, &size, sizeof size);
  std::memcpy(bytes.data() + directory + 24, &size, sizeof size);
  EXPECT_THAT(message_of(bytes), HasSubstr("found a damaged one (its records claim more than the file's 85520 bytes)"));
}

TEST(BrokenFile, ArchiveWithoutRecords)
{
  EXPECT_THAT(message_of(bytes_of("PK\5\6" + std::string(18, '\0'))), HasSubstr("found an archive without records"));
}

// Read one after another they would take hours.
TEST(BrokenFile, HostileNumberOfRecords)
{
  Records records;
  for (int n = 0; n < 60000; ++n) records[std::to_string(n)] = "";
  EXPECT_THAT(message_of(pack(records)), HasSubstr("another zip archive"));
  records[HEADER] = good_records()[HEADER];
  EXPECT_THAT(message_of(pack(records)), HasSubstr("the header states the checksum"));
}

TEST(BrokenFile, MoreThanAnyStudentHas)
{
  const std::string path = testing::TempDir() + "mlff-huge.pt";
  std::ofstream(path) << "x";
  std::filesystem::resize_file(path, std::uintmax_t{3} << 30);    // without content, takes no room
  try {
    ModelFile::read_bytes(path);
    ADD_FAILURE() << "expected an error, found none";
  } catch (const mlff::Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("found one of 3221225472 bytes, more than any has"));
  }
  std::filesystem::remove(path);
}

// Whatever byte of the zip structures is broken: an error or the same student, never a crash.
TEST(BrokenFile, AnyByteOfTheDirectory)
{
  const std::vector<char> bytes = ModelFile::read_bytes(GOOD);
  const std::string checksum = good().sha256;
  int errors = 0;
  for (std::size_t i = find_in(bytes, "PK\1\2"); i < bytes.size(); i += 7) {
    std::vector<char> changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0xff);
    try {
      EXPECT_EQ(ModelFile(changed, "a.pt").sha256, checksum) << "byte " << i;
    } catch (const mlff::Error &) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 50);
}

// ---------------------------------------------------------------- the header

TEST(BrokenHeader, NotJson)
{
  Records records = good_records();
  records[HEADER] = "{\"format\": ";
  EXPECT_THAT(message_of(pack(records)), HasSubstr("JSON object"));
  records[HEADER] = "[1, 2]";
  EXPECT_THAT(message_of(pack(records)), HasSubstr("JSON object"));
  records[HEADER] = std::string(100000, '[');
  EXPECT_THAT(message_of(pack(records)), HasSubstr("JSON object"));
}

TEST(BrokenHeader, OtherFormatOrVersion)
{
  EXPECT_THAT(message_of(with_field("format_version", 2)), AllOf(HasSubstr("mlff version 1"), HasSubstr("version 2")));
  EXPECT_THAT(message_of(with_field("format_version", "1")), HasSubstr("version \"1\""));
  EXPECT_THAT(message_of(with_field("format", "other")), HasSubstr("\"other\""));
}

TEST(BrokenHeader, MissingField)
{
  for (const char *field : {"format", "format_version", "kind", "name", "num_channels", "num_interactions",
                            "num_radial", "cutoff", "elements", "atomic_numbers", "reference_energies", "zbl_radii",
                            "length_unit", "energy_unit", "dtype", "sha256"})
    EXPECT_THAT(message_of(with_header([&](json &header) { header.erase(field); })),
                AllOf(HasSubstr("lacks the field"), HasSubstr(std::string("'") + field + "'"), HasSubstr("Export")));
}

// value, and what the message must say besides the field's name
struct WrongField {
  const char *field;
  json value;
  const char *words;
};

class BrokenHeaderField : public testing::TestWithParam<WrongField> {};

TEST_P(BrokenHeaderField, IsNamed)
{
  const auto &[field, value, words] = GetParam();
  EXPECT_THAT(message_of(with_field(field, value)),
              AllOf(HasSubstr(std::string("'") + field + "'"), HasSubstr(words), HasSubstr("found ")));
}

INSTANTIATE_TEST_SUITE_P(
    All, BrokenHeaderField,
    testing::Values(
        WrongField{"kind", "mace", "painn"}, WrongField{"kind", 1, "a string"},
        WrongField{"length_unit", "nm", "Angstrom"}, WrongField{"energy_unit", "kcal/mol", "eV"},
        WrongField{"dtype", "float16", "float32"}, WrongField{"name", json::array(), "a string"},
        WrongField{"num_channels", 15, "even"}, WrongField{"num_channels", 0, "at least 2"},
        WrongField{"num_channels", "16", "an integer"}, WrongField{"num_channels", 16.5, "an integer"},
        WrongField{"num_channels", 4294967312, "an integer"}, WrongField{"num_interactions", 0, "at least 1"},
        WrongField{"num_interactions", -1, "at least 1"}, WrongField{"num_radial", 0, "at least 1"},
        WrongField{"cutoff", 0.0, "positive"}, WrongField{"cutoff", -5.0, "positive"},
        WrongField{"cutoff", "5.0", "positive"}, WrongField{"elements", json::array(), "symbols"},
        WrongField{"elements", "HO", "symbols"}, WrongField{"elements", {"H", "H"}, "different"},
        WrongField{"elements", {"H", ""}, "symbols"}, WrongField{"elements", {"H", 8}, "symbols"},
        WrongField{"elements", {"H", "C O"}, "symbols"}, WrongField{"atomic_numbers", {1}, "each of the 2"},
        WrongField{"atomic_numbers", {1, 0}, "from 1 to 118"}, WrongField{"atomic_numbers", {1, 8.5}, "an integer"},
        WrongField{"reference_energies", {0.0, 0.0, 0.0}, "each of the 2"},
        WrongField{"reference_energies", {0.0, nullptr}, "finite"}, WrongField{"reference_energies", -1.0, "finite"},
        WrongField{"zbl_radii", {0.3}, "each of the 2"}, WrongField{"zbl_radii", {0.3, 2.6}, "half the cutoff"},
        WrongField{"zbl_radii", {0.0, 0.6}, "positive"}, WrongField{"num_parameters", 6928, "6929"},
        WrongField{"norm_epsilon", 0.0, "positive"}, WrongField{"inner_switch", {0.5}, "first < last"},
        WrongField{"inner_switch", {0.7, 0.5}, "first < last"}, WrongField{"inner_switch", {-0.1, 0.5}, "0 <= first"},
        WrongField{"inner_switch", {0.5, 5.1}, "last <= cutoff"}, WrongField{"inner_switch", {0.5, "0.7"}, "or [0, 0]"},
        WrongField{"inner_switch", 0.7, "first < last"}, WrongField{"errors", {{"force MAE", "small"}}, "numbers"},
        WrongField{"errors", 1.0, "numbers"}, WrongField{"teacher", 7, "a string or an object"},
        WrongField{"references", {1}, "strings"}),
    [](const auto &info) { return std::string(info.param.field) + "_" + std::to_string(info.index); });

// ---------------------------------------------------------------- the weights

TEST(BrokenWeights, Missing)
{
  EXPECT_THAT(message_of(with_records([](Records &records) { records.erase(WEIGHTS); })), HasSubstr(WEIGHTS));
}

TEST(BrokenWeights, HostileTable)
{
  const auto with_content = [](const std::string &content) {
    return with_records([&](Records &records) { records[WEIGHTS] = content; });
  };
  EXPECT_THAT(message_of(with_content("abc")), HasSubstr("too few bytes"));
  EXPECT_THAT(message_of(with_content(std::string(8, '\xff') + "{}")),
              HasSubstr("should have 18446744073709551615 bytes"));
  EXPECT_THAT(message_of(with_content(std::string("\2\0\0\0\0\0\0\0[]", 10))), HasSubstr("not a JSON object"));
  EXPECT_THAT(message_of(with_content(std::string("\1\0\0\0\0\0\0\0{}", 10))), HasSubstr("not a JSON object"));
}

TEST(BrokenWeights, TableDoesNotFitTheData)
{
  const std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
  const auto change = [](const json &pointer_and_value) {
    return with_table([&](json &table) { table["embedding"].update(pointer_and_value); });
  };
  EXPECT_THAT(message_of(change({{"dtype", "F16"}})),
              AllOf(HasSubstr("'embedding'"), HasSubstr("expected dtype F32, found \"F16\"")));
  EXPECT_THAT(message_of(change({{"shape", {2, 17}}})), AllOf(HasSubstr("'embedding'"), HasSubstr("[2,17]")));
  EXPECT_THAT(message_of(change({{"shape", {huge, huge}}})), HasSubstr("does not fit"));
  EXPECT_THAT(message_of(change({{"shape", {std::uint64_t{1} << 62, 4}}})), HasSubstr("does not fit"));
  EXPECT_THAT(message_of(change({{"shape", {-2, -16}}})), HasSubstr("a shape"));
  EXPECT_THAT(message_of(change({{"shape", "2, 16"}})), HasSubstr("a shape"));
  EXPECT_THAT(message_of(change({{"data_offsets", {0, huge}}})), HasSubstr("outside"));
  EXPECT_THAT(message_of(change({{"data_offsets", {128, 0}}})), HasSubstr("outside"));
  EXPECT_THAT(message_of(change({{"data_offsets", {0}}})), HasSubstr("data_offsets"));
  EXPECT_THAT(message_of(with_table([](json &table) { table["embedding"] = 1; })), HasSubstr("an object"));
}

TEST(BrokenWeights, OverlapAndGap)
{
  // the embedding lies where another weight of its size lies
  EXPECT_THAT(message_of(with_table([](json &table) {
                const auto begin = table["embedding"]["data_offsets"][0].get<int>();
                table["embedding"]["data_offsets"] = {begin + 4, begin + 132};
              })),
              testing::AnyOf(HasSubstr("overlap"), HasSubstr("gap")));
  EXPECT_THAT(message_of(with_table([](json &table) {
                table["interactions.0.vector_u.weight"]["data_offsets"] =
                    table["interactions.0.vector_v.weight"]["data_offsets"];
              })),
              testing::AnyOf(HasSubstr("overlap"), HasSubstr("gap")));
  EXPECT_THAT(message_of(with_records([](Records &records) { records[WEIGHTS] += "more"; })),
              HasSubstr("weights end at"));
}

TEST(BrokenWeights, NotFinite)
{
  EXPECT_THAT(message_of(with_records([](Records &records) {
                std::string &content = records[WEIGHTS];
                content.replace(content.size() - 4, 4, std::string("\0\0\xc0\x7f", 4));
              })),
              HasSubstr("not finite"));
}

TEST(BrokenWeights, DoNotFitTheHeader)
{
  EXPECT_THAT(message_of(with_field("num_channels", 32)), AllOf(HasSubstr("shape [2,32]"), HasSubstr("found [2,16]")));
  EXPECT_THAT(message_of(with_field("num_radial", 9)), AllOf(HasSubstr("filter"), HasSubstr("[48,10]")));
  EXPECT_THAT(message_of(with_field("num_interactions", 2000000000)),
              AllOf(HasSubstr("22000000005 weights"), HasSubstr("27")));
  EXPECT_THAT(message_of(with_table([](json &table) {
                table["imbedding"] = table["embedding"];
                table.erase("embedding");
              })),
              AllOf(HasSubstr("'embedding'"), HasSubstr("none of this name")));
  EXPECT_THAT(message_of(with_header([](json &header) {
                header["elements"] = {"H", "C", "O"};
                header["atomic_numbers"] = {1, 6, 8};
                header["reference_energies"] = {0.0, 0.0, 0.0};
                header["zbl_radii"] = {0.3, 0.7, 0.6};
              })),
              AllOf(HasSubstr("shape [3,16]"), HasSubstr("found [2,16]")));
}

}    // namespace
