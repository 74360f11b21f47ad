// Stands for engine_torch.cpp in a build without LibTorch.

#include "engine.h"
#include "mlff_error.h"

namespace mlff {

std::unique_ptr<Engine> make_engine_torch(const ModelFile &, const EngineSettings &)
{
  throw Error("Expected a plugin with the LibTorch engine, found one built with MLFF_ENABLE_TORCH=OFF. Build it with "
              "-D MLFF_ENABLE_TORCH=ON.");
}

}    // namespace mlff
