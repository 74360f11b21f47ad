// The engine that runs a compiled student, a package of AOTInductor (doc/model_format.md). The package holds both passes of
// the network as one program over the whole graph, with every node a center. So nothing is exchanged between
// interactions, and with several ranks the graph must have a wide halo: a node without listed edges gets wrong features,
// which reach no owned atom there.

#include "aot_package.h"
#include "engine.h"
#include "heap.h"
#include "mlff_error.h"
#include "model_file.h"
#include "torch_call.h"
#include "torch_device.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/version.h>

#include <utility>

namespace mlff {

namespace {

using torch::inductor::AOTIModelPackageLoader;

class EngineAot : public Engine {
 public:
  EngineAot(const ModelFile &model, const std::string &package_path, const EngineSettings &settings);

  Result compute(const EdgeList &edges, const Request &request, GhostExchange &ghosts) override;
  void warm_up(const EdgeList &edges) override;
  std::size_t peak_bytes() const override { return peak_bytes_; }
  double free_bytes() const override { return mlff::free_bytes(settings_.device); }
  bool exchanges_rows() const override { return false; }
  std::size_t max_bytes_per_row() const override { return 0; }
  std::string description() const override { return describe(settings_); }
  Times times() const override { return times_; }
  void reset_times() override { times_ = Times(); }

 private:
  std::vector<at::Tensor> run(AOTIModelPackageLoader &model, const std::vector<at::Tensor> &inputs) const;

  EngineSettings settings_;
  std::string package_path_;
  std::unique_ptr<AOTIModelPackageLoader> gradient_model_, energy_model_;
  at::Tensor atom_energy_, gradient_;    // what Result points to
  std::size_t peak_bytes_ = 0;
  Times times_;
};

EngineAot::EngineAot(const ModelFile &model, const std::string &package_path, const EngineSettings &settings) :
    settings_(checked(settings)), package_path_(package_path)
{
  check_aot_package(package_path, model, settings,
                    {TORCH_VERSION, compute_capability(settings.device), cpu_instructions()});
  if (settings.device.gpu < 0) keep_freed_memory();
  const StreamScope stream(settings.device);    // a package runs on the GPU that was the current one when it was opened
  // One caller at a time: the package need not wait for the end of its last run, which would hold up a GPU's stream.
  constexpr bool run_single_threaded = true;
  const auto open = [&](const char *name) {
    return std::make_unique<AOTIModelPackageLoader>(package_path, name, run_single_threaded);
  };
  gradient_model_ = open("gradient");
  energy_model_ = open("energy");
}

Result EngineAot::compute(const EdgeList &edges, const Request &request, GhostExchange &)
{
  const double start = seconds();
  return with_errors([&] {
    const CallScope call(settings_);
    const at::NoGradGuard no_autograd;    // the backward pass is part of the program
    const TensorGraph graph = tensors_of(edges, settings_.device, at::kDouble);
    std::vector<at::Tensor> inputs{graph.element, graph.center, graph.neighbor, graph.rij};
    atom_energy_ = gradient_ = at::Tensor();
    if (request.forces) {
      inputs.push_back(owned_ones(graph, at::empty({graph.num_nodes}, graph.rij.options())));
      const std::vector<at::Tensor> both = run(*gradient_model_, inputs);
      atom_energy_ = both.at(0);
      gradient_ = both.at(1);
    } else {
      atom_energy_ = run(*energy_model_, inputs).at(0);
    }
    times_.network += seconds() - start;
    return Result{atom_energy_.data_ptr<double>(), request.forces ? gradient_.data_ptr<double>() : nullptr};
  });
}

// A package passes on that it failed, and writes why to standard error.
std::vector<at::Tensor> EngineAot::run(AOTIModelPackageLoader &model, const std::vector<at::Tensor> &inputs) const
{
  try {
    return model.run(inputs);
  } catch (const std::runtime_error &) {
    throw Error(
        package_path_ +
        ": LibTorch failed in the compiled student; standard error has the reason. If it is lack of memory, use "
        "more ranks or GPUs, or 'jit freeze', which evaluates as many atoms at once as memory allows.");
  }
}

// Nothing is compiled any more, but libraries set up their kernels.
void EngineAot::warm_up(const EdgeList &edges)
{
  atom_energy_ = gradient_ = at::Tensor();
  peak_bytes_ = peak_bytes_of(settings_.device, [&] { call_until_warm(*this, edges); });
}

}    // namespace

std::unique_ptr<Engine> make_engine_aot(const ModelFile &model, const std::string &package_path,
                                        const EngineSettings &settings)
{
  const std::string failed = package_path + ": LibTorch " + TORCH_VERSION + " cannot open the compiled student: ";
  try {
    return std::make_unique<EngineAot>(model, package_path, settings);
  } catch (const Error &) {
    throw;
  } catch (const c10::Error &error) {
    throw Error(failed + error.what_without_backtrace());
  } catch (const std::runtime_error &error) {
    throw Error(failed + error.what());
  }
}

}    // namespace mlff
