// Stands for engine_torch.cpp, engine_aot.cpp, engine_custom.cpp and running_torch.cpp in a build without LibTorch.

#include "engine.h"
#include "mlff_error.h"
#include "running_torch.h"

namespace mlff {

namespace {

const char *const MISSING =
    "Expected a plugin with the LibTorch engine, found one built with MLFF_ENABLE_TORCH=OFF. Build it with "
    "-D MLFF_ENABLE_TORCH=ON.";

}    // namespace

std::unique_ptr<Engine> make_engine_torch(const ModelFile &, const EngineSettings &)
{
  throw Error(MISSING);
}

std::unique_ptr<Engine> make_engine_custom(const ModelFile &, const EngineSettings &)
{
  throw Error(MISSING);
}

std::unique_ptr<Engine> make_engine_aot(const ModelFile &, const std::string &, const EngineSettings &)
{
  throw Error(MISSING);
}

std::string running_libtorch()
{
  return "";
}

}    // namespace mlff
