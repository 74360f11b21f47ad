// The entry point that LAMMPS calls when it loads mlffplugin.so: registers pair_style mlff, if the plugin fits.

#include "load_guard.h"
#include "pair_mlff.h"

#include "lammps.h"
#include "lammpsplugin.h"
#include "library.h"
#include "lmptype.h"
#include "utils.h"
#include "version.h"

#include <mpi.h>

using namespace LAMMPS_NS;

namespace {

#if defined(LAMMPS_BIGBIG)
#define MLFF_SIZES "bigbig"
#else
#define MLFF_SIZES "smallbig"
#endif

#if defined(MPI_STUBS)
#define MLFF_MPI "stubs"
#elif defined(OPEN_MPI)
#define MLFF_MPI "Open MPI"
#elif defined(MPICH_VERSION) || defined(I_MPI_VERSION)
#define MLFF_MPI "MPICH"
#else
#define MLFF_MPI "MPI"
#endif

// Read from the plugin's bytes by `mlff doctor`.
__attribute__((used)) const char SETTINGS_TEXT[] = "mlff-settings:version=" LAMMPS_VERSION ";sizes=" MLFF_SIZES
                                                   ";mpi=" MLFF_MPI ";libtorch=" MLFF_LIBTORCH_VERSION ";end";

// Libraries of one family share their binary interface, those of two do not.
std::string mpi_family(const std::string &library)
{
  if (library.find("Open MPI") != std::string::npos) return "Open MPI";
  for (const char *relative : {"MPICH", "Intel", "MVAPICH"})
    if (library.find(relative) != std::string::npos) return "MPICH";
  return "";
}

mlff::BuildSettings compiled_settings()
{
  mlff::BuildSettings settings;
  settings.lammps_version = utils::date2num(LAMMPS_VERSION);
  settings.bigint = sizeof(bigint);
  settings.tagint = sizeof(tagint);
  settings.imageint = sizeof(imageint);
  settings.mpi = std::string(MLFF_MPI) != "stubs";
  settings.mpi_library = mpi_family(MLFF_MPI);
  return settings;
}

mlff::BuildSettings running_settings(void *lammps)
{
  mlff::BuildSettings settings;
  settings.lammps_version = lammps_version(lammps);
  settings.bigint = lammps_extract_setting(lammps, "bigint");
  settings.tagint = lammps_extract_setting(lammps, "tagint");
  settings.imageint = lammps_extract_setting(lammps, "imageint");
  settings.mpi = lammps_config_has_mpi_support() != 0;
  if (settings.mpi) {
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    MPI_Get_library_version(text, &length);
    settings.mpi_library = mpi_family(std::string(text, length));
  }
  return settings;
}

}    // namespace

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
