#include "script_program.h"

#include <sstream>

namespace mlff {

torch::jit::Module load_program(const ModelFile &model)
{
  std::istringstream archive(std::string(model.bytes().begin(), model.bytes().end()));
  torch::jit::Module program = torch::jit::load(archive, torch::kCPU);
  program.eval();
  for (const auto &parameter : program.parameters()) parameter.set_requires_grad(false);
  return program;
}

ScriptScope::ScriptScope(const EngineSettings &settings) :
    before_(torch::jit::getFusionStrategy()), optimizer_(settings.jit != Jit::OFF)
{
  torch::jit::FusionStrategy any{{torch::jit::FusionBehavior::DYNAMIC, 20}};
  torch::jit::setFusionStrategy(any);
}

ScriptScope::~ScriptScope()
{
  torch::jit::setFusionStrategy(before_);
}

}    // namespace mlff
