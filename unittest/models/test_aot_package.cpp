// Whether a compiled student fits a run, and the sentence where it does not. The packages are made here, of metadata alone:
// nothing of them is run.

#include "aot_package.h"
#include "folders.h"
#include "mlff_error.h"
#include "model_file.h"
#include "zip_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace {

using mlff::AotHost;
using mlff::EngineSettings;
using mlff::ModelFile;
using mlff::Precision;
using testing::AllOf;
using testing::HasSubstr;

using Metadata = std::map<std::string, std::string>;

const std::string STUDENT = reference_file("painn-tiny-v1.pt");
const std::string GRADIENT = "data/aotinductor/gradient/", ENERGY = "data/aotinductor/energy/";

class AotPackage : public testing::Test {
 protected:
  AotPackage()
  {
    metadata_ = {{"format", "mlff-aot"},    {"format_version", "1"},
                 {"sha256", model_.sha256}, {"name", model_.name},
                 {"device", "cpu"},         {"precision", "fp32"},
                 {"torch", "2.11.0+cu130"}, {"cutoff", "5.0"},
                 {"elements", "H O"},       {"instruction_set", "avx512 avx512_vnni"},
                 {"AOTI_DEVICE_KEY", "cpu"}};
  }
  ~AotPackage() override { std::filesystem::remove(path_); }

  static Records records_of(const Metadata &gradient, const Metadata &energy)
  {
    return {{GRADIENT + "a.wrapper.so", std::string(4000, 'x')},
            {GRADIENT + "a.wrapper_metadata.json", nlohmann::json(gradient).dump()},
            {ENERGY + "b.wrapper.so", std::string(3000, 'y')},
            {ENERGY + "b.wrapper_metadata.json", nlohmann::json(energy).dump()}};
  }

  void write(const std::vector<char> &bytes) const
  {
    std::ofstream(path_, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  void check() const { mlff::check_aot_package(path_, model_, settings_, host_); }

  std::string message() const
  {
    try {
      check();
    } catch (const mlff::Error &error) {
      EXPECT_THAT(error.what(),
                  AllOf(HasSubstr(path_ + ": expected "), HasSubstr("found "), HasSubstr("mlff export " + STUDENT)));
      return error.what();
    }
    ADD_FAILURE() << "expected an error, found none";
    return "";
  }

  // With one field changed, in one model after the other.
  void expect_refused(const std::string &field, const std::string &value, const std::string &expected,
                      const std::string &found)
  {
    Metadata other = metadata_;
    other[field] = value;
    for (const bool in_gradient : {true, false}) {
      write(pack(in_gradient ? records_of(other, metadata_) : records_of(metadata_, other)));
      EXPECT_THAT(message(), AllOf(HasSubstr("expected " + expected), HasSubstr("found " + found))) << field;
    }
  }

  void expect_accepted(const std::string &field, const std::string &value)
  {
    Metadata other = metadata_;
    other[field] = value;
    write(pack(records_of(other, other)));
    EXPECT_NO_THROW(check()) << field << " " << value;
  }

  ModelFile model_{ModelFile::read_bytes(STUDENT), STUDENT};
  EngineSettings settings_{Precision::FP32, mlff::Jit::AOT};
  AotHost host_{"2.11.0", "", {"fma", "avx2", "avx512f", "avx512_vnni"}};
  Metadata metadata_;
  std::string path_ =
      testing::TempDir() + "mlff-" + testing::UnitTest::GetInstance()->current_test_info()->name() + ".cpu-fp32.pt2";
};

TEST_F(AotPackage, IsTakenWhereItFits)
{
  write(pack(records_of(metadata_, metadata_)));
  EXPECT_NO_THROW(check());
  expect_accepted("torch", "2.11.0");
  expect_accepted("torch", "2.11.0+cpu");
  expect_accepted("cutoff", "5");
  expect_accepted("instruction_set", "avx2");
  expect_accepted("instruction_set", "asimd");    // what cannot be asked for
  expect_accepted("a_field_of_tomorrow", "x");
}

TEST_F(AotPackage, IsMissing)
{
  EXPECT_EQ(message(),
            path_ + ": expected the student " + STUDENT +
                " compiled for this run, found no such file. Compile it with 'mlff export " + STUDENT +
                " --aot --device cpu --precision fp32'.");
}

TEST_F(AotPackage, IsDamaged)
{
  const std::vector<char> good = pack(records_of(metadata_, metadata_));
  for (const std::size_t size : {std::size_t(0), std::size_t(100), good.size() / 2, good.size() - 1}) {
    write({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)});
    EXPECT_THAT(message(), HasSubstr("truncated or damaged")) << size;
  }
  const char code[] = "yyyyyyyy";    // in the library of the second model
  std::vector<char> changed = good;
  *std::search(changed.begin(), changed.end(), code, code + 8) = 'z';
  write(changed);
  EXPECT_THAT(message(), HasSubstr("truncated or damaged"));
  write(std::vector<char>(1000, 'x'));
  EXPECT_THAT(message(), HasSubstr("found another file, or a truncated or damaged one"));
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_THAT(message(), HasSubstr("found no such file"));
}

TEST_F(AotPackage, IsAnArchiveOfAnotherKind)
{
  write(ModelFile::read_bytes(STUDENT));
  EXPECT_THAT(message(), HasSubstr("found a zip archive of another kind"));
  write(pack({{GRADIENT + "a.wrapper_metadata.json", nlohmann::json(metadata_).dump()}}));    // one model alone
  EXPECT_THAT(message(), HasSubstr("found a zip archive of another kind"));
  for (const std::string text : {"", "{", "[]", "\"text\"", "{\"format\": 1}", "{\"AOTI_DEVICE_KEY\": \"cpu\"}"}) {
    write(pack({{GRADIENT + "a.wrapper_metadata.json", text}}));
    EXPECT_THAT(message(), HasSubstr("found a package of another kind")) << text;
  }
}

TEST_F(AotPackage, DoesNotFitTheRun)
{
  const std::string remedy = "mlff export " + STUDENT + " --aot --device cpu --precision fp32'.";
  expect_refused("format_version", "2", "format mlff-aot version 1", "version 2. Compile it again with '" + remedy);
  expect_refused("device", "cuda", "a student compiled for the device cpu", "cuda. Compile it with '" + remedy);
  expect_refused("precision", "fp64", "a student compiled for the precision fp32", "fp64. Compile it with '" + remedy);
  expect_refused("sha256", "0123abcd", "the student with the checksum " + model_.sha256, "one with 0123abcd: another");
  expect_refused("sha256", "", "the student with the checksum " + model_.sha256, "one with none: another");
  expect_refused("cutoff", "5.5", "a student with the cutoff 5", "5.5. Compile it again");
  expect_refused("cutoff", "long", "a student with the cutoff 5", "long. Compile it again");
  expect_refused("elements", "O H", "a student of the elements H O", "O H. Compile it again");
  expect_refused("torch", "2.10.1+cu130", "a student compiled with Torch 2.11.0",
                 "one compiled with 2.10.1. Compile it again, with Torch 2.11.0, with '" + remedy);
  expect_refused("instruction_set", "avx512 amx_tile", "machine code for this processor",
                 "instructions that it lacks (amx_tile): another machine's. Compile it on this machine with '" +
                     remedy);
  expect_refused("elements", "a\nb\x01" + std::string(500, 'c'), "a student of the elements H O", "a b ccc");
}

TEST_F(AotPackage, DoesNotFitTheProcessor)
{
  host_.instructions = {"fma", "avx2"};
  expect_refused("instruction_set", "avx512 avx512_vnni", "machine code for this processor",
                 "instructions that it lacks (avx512)");
  expect_accepted("instruction_set", "avx2");
  host_.instructions.clear();    // unknown: it is tried
  expect_accepted("instruction_set", "avx512");
}

TEST_F(AotPackage, DoesNotFitTheGpu)
{
  settings_.device.gpu = 0;
  host_.compute_capability = "9.0";
  metadata_["device"] = "cuda";
  metadata_.erase("instruction_set");
  metadata_["compute_capability"] = "9.0";
  write(pack(records_of(metadata_, metadata_)));
  EXPECT_NO_THROW(check());
  expect_refused("compute_capability", "8.0", "a student compiled for this GPU's compute capability 9.0",
                 "8.0. Compile it on this machine with 'mlff export " + STUDENT +
                     " --aot --device cuda --precision fp32'.");
}

TEST(AotPackagePath, StandsBesideTheStudent)
{
  EngineSettings settings;
  settings.precision = Precision::BF16;
  EXPECT_EQ(mlff::aot_package_path("water.pt", settings), "water.cpu-bf16.pt2");
  settings.device.gpu = 3;
  EXPECT_EQ(mlff::aot_package_path("/a/b.c/water.v2.pt", settings), "/a/b.c/water.v2.cuda-bf16.pt2");
}

}    // namespace
