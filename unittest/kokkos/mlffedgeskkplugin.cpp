// Test-only plugin: as mlffedgesplugin.cpp for `mlff/kk`; the graph is that of the host.

#include "engine_dump.h"
#include "pair_mlff_kokkos.h"
#include "register_styles.h"
#include "request_recorder.h"

using namespace LAMMPS_NS;

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *register_plugin)
{
  register_pair(lmp, handle, register_plugin, "mlff/edges/kk", "graph of pair_style mlff/kk",
                create<WithEngineDump<PairMLFFKokkos<LMPHostType>>>);
  register_pair(lmp, handle, register_plugin, "mlff/requests/kk", "requests of pair_style mlff/kk",
                create<WithRequestRecorder<PairMLFFKokkos<LMPDeviceType>>>);
}
