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
#include "torch_device.h"

#include <ATen/Context.h>
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

// Sums what LibTorch's allocator of a device hands out and takes back while it is the thread's listener.
class AllocationListener : public c10::MemoryReportingInfoBase {
 public:
  explicit AllocationListener(torch::Device device) : device_(device.type()) {}

  void reportMemoryUsage(void *, std::int64_t size, std::size_t, std::size_t, c10::Device device) override
  {
    if (device.type() != device_) return;
    const std::int64_t now = current_ += size;
    std::int64_t before = peak_;
    while (now > before && !peak_.compare_exchange_weak(before, now)) {}
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t peak() const { return peak_; }

 private:
  torch::DeviceType device_;
  std::atomic<std::int64_t> current_ = 0, peak_ = 0;
};

bool is_narrow(Precision precision)
{
  return precision == Precision::BF16 || precision == Precision::FP16;
}

torch::ScalarType geometry_type(Precision precision)
{
  return precision == Precision::FP64 ? torch::kDouble : torch::kFloat;
}

torch::ScalarType linear_type(Precision precision)
{
  return precision == Precision::BF16 ? torch::kBFloat16
      : precision == Precision::FP16  ? torch::kHalf
                                      : geometry_type(precision);
}

// LibTorch's switch for TF32 belongs to the process: it is set for a call and set back after it.
class Tf32Scope {
 public:
  explicit Tf32Scope(bool on) : before_(at::globalContext().allowTF32CuBLAS()) { set(on); }
  ~Tf32Scope() { set(before_); }
  Tf32Scope(const Tf32Scope &) = delete;
  Tf32Scope &operator=(const Tf32Scope &) = delete;

 private:
  static void set(bool on)
  {
    if (at::globalContext().allowTF32CuBLAS() != on) at::globalContext().setAllowTF32CuBLAS(on);
  }
  bool before_;
};

// The number of edges differs at each step: kernels that the optimizer of graphs compiles must take any, where by default
// it would compile anew for each of the first sizes. Read when a program first runs, so set for the calls.
class AnySizeScope {
 public:
  AnySizeScope() : before_(torch::jit::getFusionStrategy())
  {
    torch::jit::FusionStrategy any{{torch::jit::FusionBehavior::DYNAMIC, 20}};
    torch::jit::setFusionStrategy(any);
  }
  ~AnySizeScope() { torch::jit::setFusionStrategy(before_); }
  AnySizeScope(const AnySizeScope &) = delete;
  AnySizeScope &operator=(const AnySizeScope &) = delete;

 private:
  torch::jit::FusionStrategy before_;
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
  double free_bytes() const override { return mlff::free_bytes(settings_.device); }
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
  torch::Device device_;
  torch::ScalarType geometry_type_;
  int num_channels_, num_interactions_;
  double gradient_scale_;            // of the backward pass: half precision has no room for small gradients
  Tensor atom_energy_, gradient_;    // what Result points to
  std::size_t peak_bytes_ = 0;
  Times times_;
};

EngineTorch::EngineTorch(const ModelFile &model, const EngineSettings &settings) :
    settings_(settings), device_(torch_device(settings.device)), geometry_type_(geometry_type(settings.precision)),
    num_channels_(model.num_channels), num_interactions_(model.num_interactions),
    gradient_scale_(settings.precision == Precision::FP16 ? model.fp16_gradient_scale : 1.0)
{
  if (settings.precision == Precision::TF32 && !device_.is_cuda())
    throw Error(
        "pair_style mlff: expected a GPU for 'precision tf32', found none: CPUs have no such products. Use fp32.");
  if (device_.is_cpu()) keep_freed_memory();
  std::istringstream archive(std::string(model.bytes().begin(), model.bytes().end()));
  program_ = torch::jit::load(archive, torch::kCPU);
  program_.eval();
  check_parameters(program_, model);
  for (const auto &parameter : program_.parameters()) parameter.set_requires_grad(false);
  program_.to(device_, geometry_type_);
  if (is_narrow(settings_.precision))
    for (const auto &parameter : program_.named_parameters())
      if (parameter.name != "embedding") parameter.value.set_data(parameter.value.to(linear_type(settings_.precision)));
  if (settings_.jit == Jit::FREEZE)
    program_ = torch::jit::freeze(
        program_, std::vector<std::string>{"edge_basis", "first_interaction", "interaction", "readout", "pair_energy"});
}

Graph EngineTorch::graph(const EdgeList &edges)
{
  const auto view = [&](const auto *data, const std::vector<std::int64_t> &shape, torch::ScalarType type) {
    const auto options = torch::dtype(type).device(device_);
    using Value = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
    return shape[0] == 0 ? torch::empty(shape, options) : torch::from_blob(const_cast<Value *>(data), shape, options);
  };
  const Tensor first = view(edges.first_edge, {edges.num_centers + 1}, torch::kInt);
  const Tensor degree = first.slice(0, 1) - first.slice(0, 0, edges.num_centers);
  return {edges.num_owned_centers,
          edges.num_centers,
          edges.num_nodes,
          view(edges.element, {edges.num_nodes}, torch::kInt).to(torch::kLong),
          torch::repeat_interleave(degree, std::optional<std::int64_t>(edges.num_edges)).to(torch::kLong),
          view(edges.neighbor, {edges.num_edges}, torch::kInt).to(torch::kLong),
          view(edges.rij, {edges.num_edges, 3}, torch::kDouble).to(geometry_type_)};
}

Result EngineTorch::compute(const EdgeList &edges, const Request &request, GhostExchange &ghosts)
{
  const double start = seconds();
  const double exchange_before = times_.exchange;
  if (device_.is_cpu() && at::get_num_threads() != settings_.num_threads) at::set_num_threads(settings_.num_threads);
  const StreamScope stream(settings_.device);
  const AnySizeScope any_size;
  const Tf32Scope tf32(settings_.precision == Precision::TF32);
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
  const auto seed = [&](const Tensor &t, double scale) {    // owned centers alone count
    Tensor ones = torch::zeros_like(t);
    ones.narrow(0, 0, g.num_owned_centers).fill_(scale);
    return ones;
  };

  variable_list total = segment(num_interactions_ - 1, energy, seed(energy, gradient_scale_));
  for (int k = num_interactions_ - 2; k >= 0; --k) {
    const Tensor x_gradient = exchange_reverse(total[2], g, ghosts);
    const variable_list part = segment(k, x[k], x_gradient);
    total = {total[0] + part[0], total[1] + part[1], k > 0 ? part[2] : Tensor()};
  }
  if (gradient_scale_ != 1.0) total = {total[0] / gradient_scale_, total[1] / gradient_scale_};
  const Tensor result = grad({geometry[0], geometry[1], pair}, {g.rij}, {total[0], total[1], seed(pair, 1.0)})[0];
  if (settings_.precision == Precision::FP16 && !result.isfinite().all().item<bool>())
    throw Error("pair_style mlff: the backward pass left the range of half precision. Use 'precision bf16' or fp32.");
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
  const auto listener = std::make_shared<AllocationListener>(device_);
  const c10::DebugInfoGuard listening(c10::DebugInfoKind::PROFILER_STATE, listener);
  for (const bool forces : {false, true})
    for (int call = 0; call < WARM_UP_CALLS; ++call) compute(edges, {forces}, no_exchange);
  // The heap grows by more than the tensors hold, for its gaps; where it was large before, only the tensors tell.
  peak_bytes_ = std::max<std::size_t>(listener->peak(), device_.is_cpu() ? heap_bytes() - heap_before : 0);
}

std::size_t EngineTorch::max_bytes_per_row() const
{
  return 4 * num_channels_ * torch::elementSize(geometry_type_);
}

std::string EngineTorch::description() const
{
  const std::string text = std::string("LibTorch ") + TORCH_VERSION + ", precision " + name_of(settings_.precision) +
      ", jit " + name_of(settings_.jit) + ", " + device_name(settings_.device);
  if (device_.is_cuda()) return text;
  return text + ", " + std::to_string(settings_.num_threads) + (settings_.num_threads == 1 ? " thread" : " threads");
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
