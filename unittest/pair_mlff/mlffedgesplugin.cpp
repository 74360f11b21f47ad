// Test-only plugin: `pair_style mlff/edges` is `mlff` with EngineDump, which writes the graph.

#include "engine_dump.h"
#include "model_file.h"
#include "pair_mlff.h"

#include "lammps.h"
#include "lammpsplugin.h"
#include "version.h"

namespace {

class PairMLFFEdges : public LAMMPS_NS::PairMLFF {
 public:
  using PairMLFF::PairMLFF;

 protected:
  std::unique_ptr<mlff::Engine> make_engine(const mlff::ModelFile &, const mlff::EngineSettings &) override
  {
    return std::make_unique<EngineDump>();
  }
};

}    // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *register_plugin)
{
  lammpsplugin_t plugin{};
  plugin.version = LAMMPS_VERSION;
  plugin.style = "pair";
  plugin.name = "mlff/edges";
  plugin.info = "graph of pair_style mlff";
  plugin.author = "pair_style mlff developers";
  plugin.creator.v1 = [](void *l) -> void * { return new PairMLFFEdges(static_cast<LAMMPS_NS::LAMMPS *>(l)); };
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(register_plugin)(&plugin, lmp);
}
