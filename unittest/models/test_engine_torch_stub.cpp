#include "engine.h"
#include "folders.h"
#include "mlff_error.h"
#include "model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

TEST(EngineTorchStub, SaysHowToGetTheEngine)
{
  const std::string path = reference_file("painn-tiny-v1.pt");
  const mlff::ModelFile model(mlff::ModelFile::read_bytes(path), path);
  const auto expect_refusal = [](const auto &make) {
    try {
      make();
      FAIL() << "expected an error";
    } catch (const mlff::Error &error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("Build it with -D MLFF_ENABLE_TORCH=ON"));
    }
  };
  expect_refusal([&] { mlff::make_engine_torch(model, {}); });
  expect_refusal([&] { mlff::make_engine_custom(model, {}); });
  expect_refusal([&] { mlff::make_engine_aot(model, "", {}); });
}
