// Test-only plugin: `pair_style mlff/edges` is `mlff` with EngineDump, which writes the graph; `pair_style mlff/requests`
// is `mlff` and writes what each evaluation was asked for.

#include "engine_dump.h"
#include "pair_mlff.h"
#include "register_styles.h"
#include "request_recorder.h"

using namespace LAMMPS_NS;

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *register_plugin)
{
  register_pair(lmp, handle, register_plugin, "mlff/edges", "graph of pair_style mlff",
                create<WithEngineDump<PairMLFF>>);
  register_pair(lmp, handle, register_plugin, "mlff/requests", "requests of pair_style mlff",
                create<WithRequestRecorder<PairMLFF>>);
}
