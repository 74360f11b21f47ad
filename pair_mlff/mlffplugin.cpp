// The entry point that LAMMPS calls when it loads mlffplugin.so: registers pair_style mlff, if the plugin fits.

#include "lammps_settings.h"
#include "pair_mlff.h"

#include "lammps.h"
#include "lammpsplugin.h"

using namespace LAMMPS_NS;

__attribute__((used)) static const char SETTINGS_TEXT[] = MLFF_SETTINGS;

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *register_plugin)
{
  // Until the guard is content no member of LAMMPS's classes is touched: in another version it may lie elsewhere.
  const std::string refusal = mlff::load_refusal(compiled_settings(), running_settings(lmp));
  if (!refusal.empty()) {
    if (lammps_extract_setting(lmp, "world_rank") == 0)
      utils::logmesg(static_cast<LAMMPS *>(lmp), "WARNING: " + refusal + "\n");
    return;
  }

  lammpsplugin_t plugin{};
  plugin.version = LAMMPS_VERSION;
  plugin.style = "pair";
  plugin.name = "mlff";
  plugin.info = "distilled neural-network potentials";
  plugin.author = "pair_style mlff developers";
  plugin.creator.v1 = [](void *l) -> void * { return new PairMLFF(static_cast<LAMMPS *>(l)); };
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(register_plugin)(&plugin, lmp);
}
