// The engine of a student of kind `custom`: a TorchScript module with
//   forward(element, center, neighbor, rij) -> atom_energy
// of which nothing else is known (doc/model_format.md). It runs over the whole graph, with every node a center. So nothing
// is exchanged between interactions, and with several ranks the graph must have a wide halo: a node without listed edges
// gets a wrong energy, which does not count, and wrong features, which reach no owned atom there.

#include "engine.h"
#include "heap.h"
#include "mlff_error.h"
#include "model_file.h"
#include "script_program.h"
#include "torch_call.h"
#include "torch_device.h"

#include <torch/csrc/jit/runtime/jit_exception.h>
#include <torch/torch.h>

#include <algorithm>
#include <sstream>

namespace mlff {

namespace {

using at::Tensor;

constexpr std::size_t NUM_INPUTS = 4;

// The settings; throws Error where such a student cannot run by them.
const EngineSettings &fitting(const EngineSettings &settings, const ModelFile &model)
{
  const std::string expected = "pair_style mlff: expected ",
                    of_kind = " for the student " + model.path + " of kind custom";
  if (settings.jit == Jit::AOT)
    throw Error(expected + "'jit off', 'script' or 'freeze'" + of_kind +
                ", found 'jit aot', which is for the built-in network alone. Use 'jit freeze'.");
  if (settings.chunk > 0)
    throw Error(
        expected + "no 'chunk'" + of_kind + ", found 'chunk " + std::to_string(settings.chunk) +
        "': of such a module only the whole is known, which cannot be evaluated in slices. Remove the keyword; where "
        "memory is short, use more ranks or GPUs.");
  // rounded in its products alone, tf32 is fp32 to the module
  const std::string wanted = name_of(settings.precision == Precision::TF32 ? Precision::FP32 : settings.precision);
  if (std::find(model.precisions.begin(), model.precisions.end(), wanted) == model.precisions.end()) {
    std::string known;
    for (const std::string &precision : model.precisions) known += " " + precision;
    throw Error(expected + "a precision that the file states" + of_kind + ", which are" + known +
                ", found 'precision " + name_of(settings.precision) +
                "'. Use one of these; a module that works in others says so in 'mlff wrap'.");
  }
  return checked(settings);
}

class EngineCustom : public Engine {
 public:
  EngineCustom(const ModelFile &model, const EngineSettings &settings);

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
  void check_forward() const;
  void cast();
  // call(), with what the module and LibTorch throw as Error.
  template <class Call> auto in_module(const EdgeList &edges, Call call) const;
  // Energies [num_nodes], as the module gives them.
  Tensor energies(const TensorGraph &graph);
  Tensor gradient(const Tensor &energy, const TensorGraph &graph) const;

  EngineSettings settings_;
  std::string path_;
  double gradient_scale_;
  torch::jit::Module program_;
  Tensor reference_energy_;          // [elements]
  Tensor atom_energy_, gradient_;    // what Result points to
  std::size_t peak_bytes_ = 0;
  Times times_;
};

EngineCustom::EngineCustom(const ModelFile &model, const EngineSettings &settings) :
    settings_(fitting(settings, model)), path_(model.path),
    gradient_scale_(settings.precision == Precision::FP16 ? model.fp16_gradient_scale : 1.0),
    program_(load_program(model)),
    reference_energy_(
        torch::tensor(model.reference_energies, at::kDouble).to(at::Device(torch_device(settings.device))))
{
  check_forward();
  cast();
  if (settings.jit == Jit::FREEZE) program_ = torch::jit::freeze(program_);
  if (settings.device.gpu < 0) keep_freed_memory();
}

void EngineCustom::check_forward() const
{
  const std::string expected = path_ + ": expected a module with forward(element, center, neighbor, rij), found ";
  const auto method = program_.find_method("forward");
  if (!method) throw Error(expected + "one without forward. Give it one and wrap it again with 'mlff wrap'.");
  const auto &arguments = method->function().getSchema().arguments();
  bool fits = arguments.size() > NUM_INPUTS;
  for (std::size_t a = 1; a < arguments.size(); ++a)    // the first is the module itself
    fits = fits &&
        (a <= NUM_INPUTS ? arguments[a].type()->kind() == c10::TypeKind::TensorType
                         : arguments[a].default_value().has_value());
  if (fits) return;
  std::ostringstream found;
  found << method->function().getSchema();
  throw Error(expected + found.str() + ". Change it and wrap it again with 'mlff wrap'.");
}

// By hand, since LibTorch's Module::to would cast integers as well. What is no parameter is geometry.
void EngineCustom::cast()
{
  const at::Device device(torch_device(settings_.device));
  const auto cast_to = [&](const Tensor &tensor, at::ScalarType type) {
    tensor.set_data(tensor.to(device, tensor.is_floating_point() ? type : tensor.scalar_type()));
  };
  for (const Tensor &parameter : program_.parameters()) cast_to(parameter, linear_type(settings_.precision));
  for (const Tensor &buffer : program_.buffers()) cast_to(buffer, geometry_type(settings_.precision));
}

template <class Call> auto EngineCustom::in_module(const EdgeList &edges, Call call) const
{
  const auto explained = [&](const std::exception &error, const std::string &message) {
    if (tells_of_lack_of_memory(error))
      return Error(
          path_ + ": expected memory for " + std::to_string(edges.num_nodes) + " atoms and " +
          std::to_string(edges.num_edges) +
          " edges at once, found too little. Use more ranks or GPUs: a module of kind custom is not evaluated in "
          "slices. " +
          message);
    return Error(path_ + ": the student's module failed: " + message);
  };
  try {
    return call();
  } catch (const Error &) {
    throw;
  } catch (const torch::jit::JITException &error) {    // raised by a line of the module
    throw explained(error, error.getOriginalMsg().value_or(error.what()));
  } catch (const c10::Error &error) {
    throw explained(error, error.what_without_backtrace());
  } catch (const std::exception &error) {
    throw explained(error, error.what());
  }
}

Result EngineCustom::compute(const EdgeList &edges, const Request &request, GhostExchange &)
{
  const double start = seconds();
  return in_module(edges, [&] {
    const CallScope call(settings_);
    const ScriptScope script(settings_);
    const torch::AutoGradMode mode(request.forces);
    atom_energy_ = gradient_ = Tensor();
    const TensorGraph graph = tensors_of(edges, settings_.device, geometry_type(settings_.precision));
    graph.rij.requires_grad_(request.forces);
    const Tensor energy = energies(graph);
    if (request.forces) gradient_ = gradient(energy, graph);
    const auto of_centers = [&](const Tensor &values) { return values.narrow(0, 0, graph.num_centers); };
    atom_energy_ =
        of_centers(energy.detach()).to(at::kDouble) + reference_energy_.index_select(0, of_centers(graph.element));
    times_.network += seconds() - start;
    return Result{atom_energy_.data_ptr<double>(), request.forces ? gradient_.data_ptr<double>() : nullptr};
  });
}

// A graph without atoms is no matter for a module.
Tensor EngineCustom::energies(const TensorGraph &graph)
{
  if (graph.num_nodes == 0) return at::zeros({0}, graph.rij.options().requires_grad(false));
  const at::IValue output = program_.forward({graph.element, graph.center, graph.neighbor, graph.rij});
  const std::string expected = path_ +
      ": expected the module's forward to return energies, a tensor of floating-point "
      "numbers [" +
      std::to_string(graph.num_nodes) + "], one for each atom, found ";
  const std::string advice = ". Change the module and wrap it again with 'mlff wrap'.";
  if (!output.isTensor()) throw Error(expected + "a " + output.type()->str() + advice);
  const Tensor energy = output.toTensor();
  if (!energy.is_floating_point() || energy.dim() != 1 || energy.size(0) != graph.num_nodes) {
    std::ostringstream found;
    found << energy.sizes() << " of type " << c10::toString(energy.scalar_type());
    throw Error(expected + found.str() + advice);
  }
  return energy;
}

Tensor EngineCustom::gradient(const Tensor &energy, const TensorGraph &graph) const
{
  if (graph.rij.size(0) == 0) return at::zeros({0, 3}, graph.rij.options().dtype(at::kDouble).requires_grad(false));
  if (!energy.requires_grad())
    throw Error(
        path_ +
        ": expected the module's energies to depend on rij in a way that autograd can follow, found that they "
        "do not (detach, no_grad, .item() or a constant). Change the module and wrap it again with 'mlff wrap'.");
  const Tensor seed = owned_ones(graph, energy) * gradient_scale_;
  const Tensor gradient = torch::autograd::grad({energy}, {graph.rij}, {seed})[0].to(at::kDouble).contiguous();
  return gradient_scale_ == 1.0 ? gradient : gradient / gradient_scale_;
}

void EngineCustom::warm_up(const EdgeList &edges)
{
  atom_energy_ = gradient_ = Tensor();
  peak_bytes_ = peak_bytes_of(settings_.device, [&] { call_until_warm(*this, edges); });
}

}    // namespace

std::unique_ptr<Engine> make_engine_custom(const ModelFile &model, const EngineSettings &settings)
{
  return with_load_errors(model, [&] { return std::make_unique<EngineCustom>(model, settings); });
}

}    // namespace mlff
