// The settings of a LAMMPS that a plugin depends on: those it is compiled for, and those of the one that loads it. For the
// plugins' entry points alone; each is compiled with its own.
#pragma once

#include "load_guard.h"
#include "running_torch.h"

#include "library.h"
#include "lmptype.h"
#include "utils.h"
#include "version.h"

#include <mpi.h>

#include <string>

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
#define MLFF_SETTINGS                                                                                              \
  "mlff-settings:version=" LAMMPS_VERSION ";sizes=" MLFF_SIZES ";mpi=" MLFF_MPI ";libtorch=" MLFF_LIBTORCH_VERSION \
  ";end"

namespace LAMMPS_NS {

// Libraries of one family share their binary interface, those of two do not.
inline std::string mpi_family(const std::string &library)
{
  if (library.find("Open MPI") != std::string::npos) return "Open MPI";
  for (const char *relative : {"MPICH", "Intel", "MVAPICH"})
    if (library.find(relative) != std::string::npos) return "MPICH";
  return "";
}

inline mlff::BuildSettings compiled_settings()
{
  mlff::BuildSettings settings;
  settings.lammps_version = utils::date2num(LAMMPS_VERSION);
  settings.bigint = sizeof(bigint);
  settings.tagint = sizeof(tagint);
  settings.imageint = sizeof(imageint);
  settings.mpi = std::string(MLFF_MPI) != "stubs";
  settings.mpi_library = mpi_family(MLFF_MPI);
  settings.libtorch = MLFF_LIBTORCH_VERSION;
  return settings;
}

inline mlff::BuildSettings running_settings(void *lammps)
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
  settings.libtorch = mlff::running_libtorch();
  return settings;
}

}    // namespace LAMMPS_NS
