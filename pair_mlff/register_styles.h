// What an entry point says to the LAMMPS that loads it. For the plugins' entry points alone.
#pragma once

#include "load_guard.h"

#include "lammps.h"
#include "lammpsplugin.h"
#include "library.h"
#include "utils.h"
#include "version.h"

#include <string>

namespace LAMMPS_NS {

// Whether the plugin stays away, with a line in the log that says why. Until it is content no member of LAMMPS's classes
// is touched: in another version it may lie elsewhere.
inline bool stays_away(void *lmp, const mlff::BuildSettings &compiled, const mlff::BuildSettings &running)
{
  const std::string refusal = mlff::load_refusal(compiled, running);
  if (!refusal.empty() && lammps_extract_setting(lmp, "world_rank") == 0)
    utils::logmesg(static_cast<LAMMPS *>(lmp), "WARNING: " + refusal + "\n");
  return !refusal.empty();
}

// The three pointers are those of lammpsplugin_init.
inline void register_pair(void *lmp, void *handle, void *register_plugin, const char *name, const char *info,
                          lammpsplugin_factory1 *creator)
{
  lammpsplugin_t plugin{};
  plugin.version = LAMMPS_VERSION;
  plugin.style = "pair";
  plugin.name = name;
  plugin.info = info;
  plugin.author = "pair_style mlff developers";
  plugin.creator.v1 = creator;
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(register_plugin)(&plugin, lmp);
}

template <class Style> void *create(void *lmp)
{
  return new Style(static_cast<LAMMPS *>(lmp));
}

}    // namespace LAMMPS_NS
