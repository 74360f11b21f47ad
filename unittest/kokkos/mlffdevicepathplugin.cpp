// Test-only plugin: `mlff/kk` with rows exchanged by the functions of KokkosBase, which LAMMPS calls on GPUs alone.

#include "pair_mlff.h"
#include "pair_mlff_kokkos.h"

#include "lammps.h"
#include "lammpsplugin.h"
#include "version.h"

using namespace LAMMPS_NS;

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *register_plugin)
{
  lammpsplugin_t plugin{};
  plugin.version = LAMMPS_VERSION;
  plugin.style = "pair";
  plugin.name = "mlff/kk";
  plugin.info = "pair_style mlff/kk with exchanges on the device";
  plugin.author = "pair_style mlff developers";
  plugin.creator.v1 = [](void *l) -> void * {
    return new PairMLFFKokkos<LMPDeviceType>(static_cast<LAMMPS *>(l), Device);
  };
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(register_plugin)(&plugin, lmp);
}
