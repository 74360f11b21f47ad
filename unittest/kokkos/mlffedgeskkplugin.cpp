// Test-only plugin: `pair_style mlff/edges/kk` is `mlff/kk` on the host with EngineDump, which writes the graph.

#include "engine_dump.h"
#include "pair_mlff_kokkos.h"
#include "register_styles.h"

using namespace LAMMPS_NS;

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *register_plugin)
{
  register_pair(lmp, handle, register_plugin, "mlff/edges/kk", "graph of pair_style mlff/kk",
                create<WithEngineDump<PairMLFFKokkos<LMPHostType>>>);
}
