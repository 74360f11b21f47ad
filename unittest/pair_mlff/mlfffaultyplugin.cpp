// Test-only plugin: `pair_style mlff/faulty` is `mlff` with forces that are too large by a tenth, as from a wrong kernel.

#include "forwarding_engine.h"
#include "pair_mlff.h"
#include "register_styles.h"

#include <vector>

using namespace LAMMPS_NS;

namespace {

class FaultyEngine : public ForwardingEngine {
 public:
  using ForwardingEngine::ForwardingEngine;

  mlff::Result compute(const mlff::EdgeList &edges, const mlff::Request &request, mlff::GhostExchange &ghosts) override
  {
    mlff::Result result = ForwardingEngine::compute(edges, request, ghosts);
    if (!request.forces) return result;
    gradient_.assign(result.gradient, result.gradient + 3L * edges.num_edges);
    for (double &g : gradient_) g *= 1.1;
    result.gradient = gradient_.data();
    return result;
  }

 private:
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
