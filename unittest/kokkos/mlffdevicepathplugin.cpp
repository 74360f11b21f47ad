// Test-only plugin: `mlff/kk` with rows exchanged by the functions of KokkosBase, which LAMMPS calls on GPUs alone.

#include "pair_mlff_kokkos.h"
#include "register_styles.h"

using namespace LAMMPS_NS;

static void *create_on_device_path(void *lmp)
{
  return new PairMLFFKokkos<LMPDeviceType>(static_cast<LAMMPS *>(lmp), Device);
}

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *register_plugin)
{
  register_pair(lmp, handle, register_plugin, "mlff/kk", "pair_style mlff/kk with exchanges on the device",
                create_on_device_path);
}
