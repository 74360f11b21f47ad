#include "engine.h"
#include "mlff_error.h"
#include "model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

TEST(EngineTorchStub, SaysHowToGetTheEngine)
{
  const std::string path = MLFF_REFERENCE_DIR "/painn-tiny-v1.pt";
  const mlff::ModelFile model(mlff::ModelFile::read_bytes(path), path);
  try {
    mlff::make_engine_torch(model, {});
    FAIL() << "expected an error";
  } catch (const mlff::Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("Build it with -D MLFF_ENABLE_TORCH=ON"));
  }
}
