// The entry point that LAMMPS calls when it loads mlffplugin.so: registers pair_style mlff, if the plugin fits.

#include "lammps_settings.h"
#include "pair_mlff.h"
#include "register_styles.h"

using namespace LAMMPS_NS;

__attribute__((used)) static const char SETTINGS_TEXT[] = MLFF_SETTINGS;

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *register_plugin)
{
  if (stays_away(lmp, compiled_settings(), running_settings(lmp))) return;
  register_pair(lmp, handle, register_plugin, "mlff", "distilled neural-network potentials", create<PairMLFF>);
}
