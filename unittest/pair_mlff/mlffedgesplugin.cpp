// Test-only plugin: `pair_style mlff/edges` is `mlff` with an engine that writes the graph it receives to edges.txt
// and has no forces. Each line: center, neighbor (node indices), element of the neighbor, r_ij in Å.

#include "engine.h"
#include "model_file.h"
#include "pair_mlff.h"

#include "lammps.h"
#include "lammpsplugin.h"
#include "version.h"

#include <cstdio>
#include <vector>

namespace {

class EngineDump : public mlff::Engine {
 public:
  mlff::Result compute(const mlff::EdgeList &edges, const mlff::Request &, mlff::GhostExchange &) override
  {
    FILE *file = std::fopen("edges.txt", "w");
    for (int c = 0; c < edges.num_centers; ++c)
      for (int e = edges.first_edge[c]; e < edges.first_edge[c + 1]; ++e) {
        const double *r = edges.rij + 3L * e;
        std::fprintf(file, "%d %d %d %.17g %.17g %.17g\n", c, edges.neighbor[e], edges.element[edges.neighbor[e]], r[0],
                     r[1], r[2]);
      }
    std::fclose(file);
    zero_.assign(3L * edges.num_edges + edges.num_centers + 1, 0.0);
    return {0.0, zero_.data(), zero_.data()};
  }
  void warm_up(const mlff::EdgeList &) override {}
  std::size_t peak_bytes() const override { return 0; }
  std::size_t max_bytes_per_row() const override { return sizeof(double); }
  std::string description() const override { return "writes edges.txt"; }
  Times times() const override { return {}; }
  void reset_times() override {}

 private:
  std::vector<double> zero_;
};

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
