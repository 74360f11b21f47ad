// Test-only plugin: `pair_style mlff/faulty` is `mlff` with forces that are too large by a tenth, as from a wrong kernel.

#include "engine.h"
#include "pair_mlff.h"
#include "register_styles.h"

#include <vector>

using namespace LAMMPS_NS;

namespace {

class FaultyEngine : public mlff::Engine {
 public:
  explicit FaultyEngine(std::unique_ptr<mlff::Engine> right) : right_(std::move(right)) {}

  mlff::Result compute(const mlff::EdgeList &edges, const mlff::Request &request, mlff::GhostExchange &ghosts) override
  {
    mlff::Result result = right_->compute(edges, request, ghosts);
    if (!request.forces) return result;
    gradient_.assign(result.gradient, result.gradient + 3L * edges.num_edges);
    for (double &g : gradient_) g *= 1.1;
    result.gradient = gradient_.data();
    return result;
  }
  void warm_up(const mlff::EdgeList &edges) override { right_->warm_up(edges); }
  std::size_t peak_bytes() const override { return right_->peak_bytes(); }
  double free_bytes() const override { return right_->free_bytes(); }
  std::size_t max_bytes_per_row() const override { return right_->max_bytes_per_row(); }
  std::string description() const override { return right_->description(); }
  Times times() const override { return right_->times(); }
  void reset_times() override { right_->reset_times(); }

 private:
  std::unique_ptr<mlff::Engine> right_;
  std::vector<double> gradient_;
};

class PairFaulty : public PairMLFF {
 public:
  using PairMLFF::PairMLFF;

 protected:
  std::unique_ptr<mlff::Engine> make_engine(const mlff::ModelFile &model, const mlff::EngineSettings &settings) override
  {
    return std::make_unique<FaultyEngine>(PairMLFF::make_engine(model, settings));
  }
};

}    // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *register_plugin)
{
  register_pair(lmp, handle, register_plugin, "mlff/faulty", "pair_style mlff with wrong forces", create<PairFaulty>);
}
