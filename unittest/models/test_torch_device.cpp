// What a build without CUDA, or LibTorch with fewer GPUs, says of a GPU that it cannot use.

#include "engine.h"
#include "folders.h"
#include "mlff_error.h"
#include "model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {
constexpr bool WITH_CUDA = MLFF_ENABLE_CUDA;
}

TEST(TorchDevice, MissingGpu)
{
  const std::string path = reference_file("painn-tiny-v1.pt");
  const mlff::ModelFile model(mlff::ModelFile::read_bytes(path), path);
  mlff::EngineSettings settings;
  settings.device.gpu = 99;
  const std::string expected = WITH_CUDA
      ? "pair_style mlff/kk: expected LibTorch to see GPU 99, found "
      : "pair_style mlff/kk: expected a plugin built for GPUs, found one whose LibTorch part was "
        "built without CUDA. Configure it with ";
  try {
    mlff::make_engine(model, settings);
    FAIL() << "expected an error, found none";
  } catch (const mlff::Error &error) {
    EXPECT_THAT(error.what(), testing::StartsWith(expected));
  }
}
