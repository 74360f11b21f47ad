// The engine that runs the file's own program through LibTorch. It is the reference of all engines in double precision.
//
// The student is evaluated in segments that are separate autograd graphs: edge basis, first interaction,
// interactions 1 .. T-1, the last with the readout. Between two segments stand rows of features, which the owners
// send to their ghosts; on the way back the gradients of these rows travel from ghosts to owners. So every exchange
// is called from the caller's own thread (autograd may run a backward pass in a thread of its own, where no MPI may
// be called), and no custom autograd function is needed.

#include "engine.h"
#include "heap.h"
#include "mlff_error.h"
#include "model_file.h"

#include <ATen/Parallel.h>
#include <c10/core/Allocator.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <atomic>
#include <chrono>
#include <sstream>

namespace mlff {

namespace {

using torch::Tensor;
using torch::autograd::grad;
using torch::autograd::variable_list;

constexpr int WARM_UP_CALLS = 4;    // profiling run, optimised run, and two that must already be fast

double seconds()
{
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Parameters and program of the file must agree: the fused engine takes the weights by name, this one the program.
void check_parameters(const torch::jit::Module &program, const ModelFile &model)
{
  size_t found = 0;
  for (const auto &parameter : program.named_parameters()) {
    const auto weight = model.weights.find(parameter.name);
    const Tensor values = parameter.value.contiguous();
    if (weight == model.weights.end() || values.scalar_type() != torch::kFloat ||
        !values.sizes().equals(weight->second.shape) ||
        !std::equal(weight->second.values.begin(), weight->second.values.end(), values.data_ptr<float>()))
      throw Error(model.path + ": expected the program's parameter '" + parameter.name +
                  "' to equal the one in mlff.safetensors, found another or none. Export the student again.");
    ++found;
  }
  if (found != model.weights.size())
    throw Error(model.path + ": expected a program with the " + std::to_string(model.weights.size()) +
                " parameters of mlff.safetensors, found " + std::to_string(found) + ". Export the student again.");
}

// Sums what LibTorch's allocators hand out and take back while it is the thread's listener.
class AllocationListener : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void *, std::int64_t size, std::size_t, std::size_t, c10::Device) override
  {
    const std::int64_t now = current_ += size;
    std::int64_t before = peak_;
    while (now > before && !peak_.compare_exchange_weak(before, now)) {}
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t peak() const { return peak_; }

 private:
  std::atomic<std::int64_t> current_ = 0, peak_ = 0;
};

// The graph as tensors. `element`, `center`, `neighbor` are int64, `rij` has the geometry's dtype.
struct Graph {
  int num_owned_centers, num_centers, num_nodes;
  Tensor element, center, neighbor, rij;
};

class EngineTorch : public Engine {
 public:
  EngineTorch(const ModelFile &model, const EngineSettings &settings);

  Result compute(const EdgeList &edges, const Request &request, GhostExchange &ghosts) override;
  void warm_up(const EdgeList &edges) override;
  std::size_t peak_bytes() const override { return peak_bytes_; }
  std::size_t max_bytes_per_row() const override;
  std::string description() const override;
  Times times() const override { return times_; }
  void reset_times() override { times_ = Times(); }

 private:
  Graph graph(const EdgeList &edges);
  Result evaluate(const Graph &graph, const Request &request, GhostExchange &ghosts);
  Tensor gradient(const Graph &graph, const variable_list &x, const variable_list &x_in, const variable_list &geometry,
                  const variable_list &geometry_in, const Tensor &energy, const Tensor &pair_energy,
                  GhostExchange &ghosts);

  // The student's parts; see models/python/mlff/painn.py.
  std::vector<Tensor> edge_basis(const Tensor &rij);
  Tensor first_interaction(const Graph &g, const Tensor &u, const Tensor &basis);
  Tensor interaction(int k, const Tensor &x, const Graph &g, const Tensor &u, const Tensor &basis);
  Tensor readout(const Tensor &x, const Graph &g);
  Tensor pair_energy(const Graph &g);

  // Rows of all nodes from those of the centers; the exchange fills the ghosts'.
  Tensor exchange_forward(const Tensor &x, const Graph &g, GhostExchange &ghosts);
  // Adds the ghosts' rows to their owners'; the centers' rows.
  Tensor exchange_reverse(const Tensor &x, const Graph &g, GhostExchange &ghosts);

  EngineSettings settings_;
  torch::jit::Module program_;
  torch::ScalarType geometry_type_;
  int num_channels_, num_interactions_;
  std::vector<std::int64_t> element_, center_, neighbor_;    // the graph's indices as Torch wants them
  Tensor atom_energy_, gradient_;                            // what Result points to
  std::size_t peak_bytes_ = 0;
  Times times_;
};

EngineTorch::EngineTorch(const ModelFile &model, const EngineSettings &settings) :
    settings_(settings), geometry_type_(settings.precision == Precision::FP64 ? torch::kDouble : torch::kFloat),
    num_channels_(model.num_channels), num_interactions_(model.num_interactions)
{
  keep_freed_memory();
  std::istringstream archive(std::string(model.bytes().begin(), model.bytes().end()));
  program_ = torch::jit::load(archive, torch::kCPU);
  program_.eval();
  check_parameters(program_, model);
  for (const auto &parameter : program_.parameters()) parameter.set_requires_grad(false);
  program_.to(geometry_type_);
  if (settings_.jit == Jit::FREEZE)
    program_ = torch::jit::freeze(
        program_, std::vector<std::string>{"edge_basis", "first_interaction", "interaction", "readout", "pair_energy"});
}

Graph EngineTorch::graph(const EdgeList &edges)
{
  element_.assign(edges.element, edges.element + edges.num_nodes);
  neighbor_.assign(edges.neighbor, edges.neighbor + edges.num_edges);
  center_.resize(edges.num_edges);
  for (int c = 0; c < edges.num_centers; ++c)
    std::fill(center_.begin() + edges.first_edge[c], center_.begin() + edges.first_edge[c + 1], c);

  const auto indices = [](std::vector<std::int64_t> &values) {
    return torch::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, torch::kLong);
  };
  const Tensor rij = torch::from_blob(const_cast<double *>(edges.rij), {edges.num_edges, 3}, torch::kDouble);
  return {edges.num_owned_centers, edges.num_centers,  edges.num_nodes,       indices(element_),
          indices(center_),        indices(neighbor_), rij.to(geometry_type_)};
}

Result EngineTorch::compute(const EdgeList &edges, const Request &request, GhostExchange &ghosts)
{
  const double start = seconds();
  const double exchange_before = times_.exchange;
  if (at::get_num_threads() != settings_.num_threads) at::set_num_threads(settings_.num_threads);
  torch::jit::GraphOptimizerEnabledGuard optimizer(settings_.jit != Jit::OFF);
  try {
    const Result result = evaluate(graph(edges), request, ghosts);
    times_.network += seconds() - start - (times_.exchange - exchange_before);
    return result;
  } catch (const c10::Error &error) {
    throw Error(std::string("LibTorch failed in the student's program: ") + error.what_without_backtrace());
  } catch (const Error &) {
    throw;
  } catch (const std::runtime_error &error) {    // torch::jit::JITException
    throw Error(std::string("LibTorch failed in the student's program: ") + error.what());
  }
}

Result EngineTorch::evaluate(const Graph &g, const Request &request, GhostExchange &ghosts)
{
  torch::AutoGradMode record(request.forces);
  const auto leaf = [&](const Tensor &t) { return t.detach().requires_grad_(request.forces); };

  g.rij.requires_grad_(request.forces);
  const variable_list geometry = edge_basis(g.rij);
  const variable_list geometry_in{leaf(geometry[0]), leaf(geometry[1])};
  const Tensor &u = geometry_in[0], &basis = geometry_in[1];

  // x_in[k] are the rows that go into interaction k, x[k] those that come out of it
  variable_list x_in(num_interactions_), x(num_interactions_);
  x[0] = first_interaction(g, u, basis);
  for (int k = 1; k < num_interactions_; ++k) {
    x_in[k] = leaf(exchange_forward(x[k - 1].detach(), g, ghosts));
    x[k] = interaction(k, x_in[k], g, u, basis);
  }
  const Tensor energy = readout(x.back(), g);
  const Tensor pair = pair_energy(g);

  atom_energy_ = (energy + pair).detach();
  Result result;
  result.atom_energy = atom_energy_.data_ptr<double>();
  for (int c = 0; c < g.num_owned_centers; ++c) result.energy += result.atom_energy[c];
  if (request.forces) {
    gradient_ = gradient(g, x, x_in, geometry, geometry_in, energy, pair, ghosts);
    result.gradient = gradient_.data_ptr<double>();
  }
  return result;
}

// The segments backwards: dE/dr_ij [num_edges, 3].
Tensor EngineTorch::gradient(const Graph &g, const variable_list &x, const variable_list &x_in,
                             const variable_list &geometry, const variable_list &geometry_in, const Tensor &energy,
                             const Tensor &pair, GhostExchange &ghosts)
{
  // d(segment)/d(u, basis, rows that went in) with the given gradient of what came out; the first has no rows
  const auto segment = [&](int k, const Tensor &output, const Tensor &output_gradient) {
    variable_list inputs = geometry_in;
    if (k > 0) inputs.push_back(x_in[k]);
    return grad({output}, inputs, {output_gradient});
  };
  const auto seed = [&](const Tensor &t) {    // owned centers alone count
    Tensor ones = torch::zeros_like(t);
    ones.narrow(0, 0, g.num_owned_centers).fill_(1.0);
    return ones;
  };

  variable_list total = segment(num_interactions_ - 1, energy, seed(energy));
  for (int k = num_interactions_ - 2; k >= 0; --k) {
    const Tensor x_gradient = exchange_reverse(total[2], g, ghosts);
    const variable_list part = segment(k, x[k], x_gradient);
    total = {total[0] + part[0], total[1] + part[1], k > 0 ? part[2] : Tensor()};
  }
  const Tensor result = grad({geometry[0], geometry[1], pair}, {g.rij}, {total[0], total[1], seed(pair)})[0];
  return result.to(torch::kDouble).contiguous();
}

std::vector<Tensor> EngineTorch::edge_basis(const Tensor &rij)
{
  const auto both = program_.get_method("edge_basis")({rij}).toTuple();
  return {both->elements()[0].toTensor(), both->elements()[1].toTensor()};
}

Tensor EngineTorch::first_interaction(const Graph &g, const Tensor &u, const Tensor &basis)
{
  return program_.get_method("first_interaction")({g.element, g.center, g.neighbor, u, basis, g.num_centers})
      .toTensor();
}

Tensor EngineTorch::interaction(int k, const Tensor &x, const Graph &g, const Tensor &u, const Tensor &basis)
{
  return program_.get_method("interaction")({k, x, g.center, g.neighbor, u, basis, g.num_centers}).toTensor();
}

Tensor EngineTorch::readout(const Tensor &x, const Graph &g)
{
  return program_.get_method("readout")({x, g.element}).toTensor();
}

Tensor EngineTorch::pair_energy(const Graph &g)
{
  return program_.get_method("pair_energy")({g.element, g.center, g.neighbor, g.rij, g.num_centers}).toTensor();
}

Tensor EngineTorch::exchange_forward(const Tensor &x, const Graph &g, GhostExchange &ghosts)
{
  Tensor rows = x;
  if (g.num_nodes > g.num_centers) {
    rows = x.new_zeros({g.num_nodes, x.size(1), x.size(2)});
    rows.narrow(0, 0, g.num_centers).copy_(x);
  }
  const double start = seconds();
  ghosts.forward({rows.data_ptr(), geometry_type_ == torch::kFloat ? Rows::Type::FLOAT32 : Rows::Type::FLOAT64,
                  4 * num_channels_});
  times_.exchange += seconds() - start;
  return rows;
}

Tensor EngineTorch::exchange_reverse(const Tensor &x, const Graph &g, GhostExchange &ghosts)
{
  const Tensor rows = x.contiguous();
  const double start = seconds();
  ghosts.reverse({rows.data_ptr(), geometry_type_ == torch::kFloat ? Rows::Type::FLOAT32 : Rows::Type::FLOAT64,
                  4 * num_channels_});
  times_.exchange += seconds() - start;
  return rows.narrow(0, 0, g.num_centers);
}

void EngineTorch::warm_up(const EdgeList &edges)
{
  NoExchange no_exchange;
  atom_energy_ = gradient_ = Tensor();
  const std::size_t heap_before = heap_bytes();
  const auto listener = std::make_shared<AllocationListener>();
  const c10::DebugInfoGuard listening(c10::DebugInfoKind::PROFILER_STATE, listener);
  for (const bool forces : {false, true})
    for (int call = 0; call < WARM_UP_CALLS; ++call) compute(edges, {forces}, no_exchange);
  // The heap grows by more than the tensors hold, for its gaps; where it was large before, only the tensors tell.
  peak_bytes_ = std::max<std::size_t>(listener->peak(), heap_bytes() - heap_before);
}

std::size_t EngineTorch::max_bytes_per_row() const
{
  return 4 * num_channels_ * torch::elementSize(geometry_type_);
}

std::string EngineTorch::description() const
{
  const char *precision = settings_.precision == Precision::FP64 ? "fp64" : "fp32";
  const char *jit = settings_.jit == Jit::OFF ? "off" : settings_.jit == Jit::SCRIPT ? "script" : "freeze";
  return std::string("LibTorch ") + TORCH_VERSION + ", precision " + precision + ", jit " + jit + ", CPU, " +
      std::to_string(settings_.num_threads) + (settings_.num_threads == 1 ? " thread" : " threads");
}

}    // namespace

std::unique_ptr<Engine> make_engine_torch(const ModelFile &model, const EngineSettings &settings)
{
  try {
    return std::make_unique<EngineTorch>(model, settings);
  } catch (const c10::Error &error) {
    throw Error(model.path + ": LibTorch " + TORCH_VERSION +
                " cannot load the student's program: " + error.what_without_backtrace());
  }
}

}    // namespace mlff
