// Which engine runs a student.

#include "engine.h"
#include "model_file.h"

namespace mlff {

std::unique_ptr<Engine> make_engine(const ModelFile &model, const EngineSettings &settings)
{
  if (model.is_custom()) return make_engine_custom(model, settings);
  if (settings.jit == Jit::AOT) return make_engine_aot(model, aot_package_path(model.path, settings), settings);
  return make_engine_torch(model, settings);
}

std::unique_ptr<Engine> make_exact_engine(const ModelFile &model, const EngineSettings &settings, int chunk)
{
  EngineSettings exact = settings;
  exact.precision = Precision::FP64;
  exact.jit = Jit::OFF;
  exact.chunk = model.is_custom() ? 0 : chunk;
  return make_engine(model, exact);
}

}    // namespace mlff
