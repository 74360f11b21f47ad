// TorchScript programs: loading one, and LibTorch's settings for its calls. For sources of engines alone: it includes
// LibTorch's headers.
#pragma once

#include "engine.h"
#include "mlff_error.h"
#include "model_file.h"
#include "text.h"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>
#include <torch/version.h>

#include <string>

namespace mlff {

// The file's program on the CPU as it was saved, for evaluation alone: no parameter asks for gradients.
torch::jit::Module load_program(const ModelFile &model);

// make(), which loads a program, with what LibTorch throws as Error.
template <class Make> auto with_load_errors(const ModelFile &model, Make make)
{
  const auto failed = [&](const std::string &reason) {
    return Error(model.path + ": LibTorch " + TORCH_VERSION + " cannot load the student's program (" +
                 one_line(reason, 300) + "). Export the student again, with a Torch that is not newer.");
  };
  try {
    return make();
  } catch (const Error &) {
    throw;
  } catch (const c10::Error &error) {
    throw failed(error.what_without_backtrace());
  } catch (const std::exception &error) {    // from a broken archive any
    throw failed(error.what());
  }
}

// While it lives, this thread runs programs as `jit off` or the other ways want it. The number of edges differs at each
// step: kernels that the optimizer of graphs compiles must take any, where by default it would compile anew for each of the
// first sizes. Read when a program first runs, so set for the calls.
class ScriptScope {
 public:
  explicit ScriptScope(const EngineSettings &settings);
  ~ScriptScope();
  ScriptScope(const ScriptScope &) = delete;
  ScriptScope &operator=(const ScriptScope &) = delete;

 private:
  torch::jit::FusionStrategy before_;
  torch::jit::GraphOptimizerEnabledGuard optimizer_;
};

}    // namespace mlff
