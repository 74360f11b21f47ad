// The engine that runs the file's own program through LibTorch. It is the reference of all engines in double precision.

#include "engine.h"
#include "evaluation.h"
#include "heap.h"
#include "mlff_error.h"
#include "model_file.h"
#include "script_program.h"
#include "torch_call.h"
#include "torch_device.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace mlff {

namespace {

// Of a plan for memory: LAMMPS's own arrays and gaps between blocks need room too.
constexpr double SHARE_OF_MEMORY = 0.8;
constexpr int SAMPLE_CENTERS = 4096;    // whose evaluation tells what a center takes: most of them, not their surface
constexpr int SMALLEST_SLICE = 16;
constexpr double VALUES_OF_AN_EDGE = 30.0;    // for each channel and interaction, at most: 18 to 30 were measured
constexpr int NO_LIMIT = std::numeric_limits<int>::max();

class EngineTorch : public Engine {
 public:
  EngineTorch(const ModelFile &model, const EngineSettings &settings);

  Result compute(const EdgeList &edges, const Request &request, GhostExchange &ghosts) override;
  void warm_up(const EdgeList &edges) override;
  std::size_t peak_bytes() const override { return peak_bytes_; }
  double free_bytes() const override { return mlff::free_bytes(settings_.device); }
  void limit_memory(double bytes) override { limit_ = bytes; }
  int most_centers_at_once() const override { return most_at_once_ == NO_LIMIT ? 0 : most_at_once_; }
  double bytes_per_center_in_slices() const override { return bytes_in_slices_; }
  std::string take_notice() override { return std::exchange(notice_, {}); }
  std::size_t max_bytes_per_row() const override;
  std::string description() const override { return describe(settings_); }
  Times times() const override { return times_; }
  void reset_times() override { times_ = Times(); }

 private:
  // work() under the settings of LibTorch that a call needs, with its failures as Error.
  template <class Work> auto in_call(Work work);
  Evaluation evaluate(const EdgeList &edges, const Request &request, GhostExchange &ghosts);
  // Fewer centers at once, after an evaluation for which memory did not suffice.
  void retreat(int num_centers, const std::string &failure);
  bool surely_fits(const EdgeList &edges) const;
  // Within in_call. Sets the most centers at once by what a sample of `edges` takes.
  void plan(const EdgeList &edges);

  EngineSettings settings_;
  double gradient_scale_;
  StudentProgram program_;
  Evaluation last_;    // what Result points to
  int most_at_once_, slice_;
  double limit_ = 0.0, bytes_in_slices_ = 0.0;
  std::size_t peak_bytes_ = 0;
  std::string notice_;
  Times times_;
};

EngineTorch::EngineTorch(const ModelFile &model, const EngineSettings &settings) :
    settings_(checked(settings)),
    gradient_scale_(settings.precision == Precision::FP16 ? model.fp16_gradient_scale : 1.0), program_(model, settings),
    most_at_once_(settings.chunk > 0 ? settings.chunk : NO_LIMIT), slice_(most_at_once_)
{
  if (settings.device.gpu < 0) keep_freed_memory();
}

template <class Work> auto EngineTorch::in_call(Work work)
{
  return with_errors([&] {
    const CallScope call(settings_);
    const ScriptScope script(settings_);
    return work();
  });
}

Result EngineTorch::compute(const EdgeList &edges, const Request &request, GhostExchange &ghosts)
{
  const double start = seconds();
  const double exchange_before = times_.exchange;
  return in_call([&] {
    last_ = Evaluation();
    last_ = evaluate(edges, request, ghosts);
    times_.network += seconds() - start - (times_.exchange - exchange_before);
    return Result{last_.atom_energy.data_ptr<double>(), request.forces ? last_.gradient.data_ptr<double>() : nullptr};
  });
}

Evaluation EngineTorch::evaluate(const EdgeList &edges, const Request &request, GhostExchange &ghosts)
{
  TensorExchange exchange(ghosts, times_);
  for (;; exchange.rewind()) {
    try {
      const TensorGraph graph = tensors_of(edges, settings_.device, program_.geometry_type());
      if (edges.num_centers > most_at_once_)
        return evaluate_in_slices(program_, graph, request, gradient_scale_, exchange, slice_);
      return evaluate_at_once(program_, graph, request, gradient_scale_, exchange);
    } catch (const std::exception &error) {
      if (!tells_of_lack_of_memory(error)) throw;
      retreat(edges.num_centers, error.what());
    }
    release_unused_memory(settings_.device);
  }
}

void EngineTorch::retreat(int num_centers, const std::string &failure)
{
  const int tried = std::min(num_centers, num_centers > most_at_once_ ? slice_ : num_centers);
  if (tried <= SMALLEST_SLICE)
    throw Error("pair_style mlff: expected memory for slices of " + std::to_string(tried) + " of " +
                std::to_string(num_centers) + " atoms, found too little. Use more ranks or GPUs. " + failure);
  most_at_once_ = std::min(most_at_once_, num_centers - 1);
  slice_ = tried / 2;
  notice_ = "pair_style mlff: memory does not suffice for " + std::to_string(tried) +
      " atoms at once; they are evaluated in slices of " + std::to_string(slice_) + " from now on";
}

void EngineTorch::warm_up(const EdgeList &edges)
{
  last_ = Evaluation();
  bytes_in_slices_ = mlff::bytes_per_center_in_slices(program_, edges);
  peak_bytes_ = peak_bytes_of(settings_.device, [&] {
    if (settings_.chunk == 0 && limit_ > 0.0 && !surely_fits(edges)) in_call([&] { plan(edges); });
    call_until_warm(*this, edges);
  });
}

// A sample costs time and gaps in the heap: it is spared where memory is plenty.
bool EngineTorch::surely_fits(const EdgeList &edges) const
{
  const double values =
      VALUES_OF_AN_EDGE * program_.num_channels() * program_.num_interactions() * static_cast<double>(edges.num_edges);
  return edges.num_centers <= SAMPLE_CENTERS ||
      2.0 * values * at::elementSize(program_.geometry_type()) < SHARE_OF_MEMORY * limit_;
}

void EngineTorch::plan(const EdgeList &edges)
{
  NoExchange no_exchange;
  const TensorGraph graph = tensors_of(edges, settings_.device, program_.geometry_type());
  const TensorGraph sample = first_slice(graph, SAMPLE_CENTERS);
  // the last of the calls tells, since the first compile
  const auto bytes_per_center = [&](const auto &evaluate_sample) {
    std::size_t bytes = 0;
    for (int call = 0; call < WARM_UP_CALLS; ++call)
      bytes = peak_bytes_of(settings_.device, [&] {
        TensorExchange exchange(no_exchange, times_);
        evaluate_sample(exchange);
      });
    return static_cast<double>(bytes) / SAMPLE_CENTERS;
  };
  const auto centers_in = [](double bytes, double each) {
    return static_cast<int>(std::clamp(bytes / each, double(SMALLEST_SLICE), double(NO_LIMIT)));
  };
  const double room = SHARE_OF_MEMORY * limit_;
  most_at_once_ = centers_in(room, bytes_per_center([&](TensorExchange &exchange) {
                               return evaluate_at_once(program_, sample, {}, gradient_scale_, exchange);
                             }));
  if (edges.num_centers <= most_at_once_) return;
  slice_ = centers_in(room - edges.num_centers * bytes_in_slices_, bytes_per_center([&](TensorExchange &exchange) {
                        return evaluate_in_slices(program_, sample, {}, gradient_scale_, exchange, SAMPLE_CENTERS);
                      }));
}

std::size_t EngineTorch::max_bytes_per_row() const
{
  return 4 * program_.num_channels() * at::elementSize(program_.geometry_type());
}

}    // namespace

std::unique_ptr<Engine> make_engine_torch(const ModelFile &model, const EngineSettings &settings)
{
  return with_load_errors(model, [&] { return std::make_unique<EngineTorch>(model, settings); });
}

}    // namespace mlff
