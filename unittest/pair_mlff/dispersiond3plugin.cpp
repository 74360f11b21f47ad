// Test-only plugin: LAMMPS's own `pair_style dispersion/d3`, from its sources, so that it can stand beside mlff without the
// 90 other styles of its package in the LAMMPS that tests build.

#include "EXTRA-PAIR/pair_dispersion_d3.h"

#include "register_styles.h"

using namespace LAMMPS_NS;

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *register_plugin)
{
  register_pair(lmp, handle, register_plugin, "dispersion/d3", "Grimme's D3 of LAMMPS's EXTRA-PAIR",
                create<PairDispersionD3>);
}
