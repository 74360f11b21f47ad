#include "load_guard.h"

namespace mlff {

namespace {

std::string refusal(const std::string &setting, const std::string &compiled, const std::string &running,
                    const std::string &advice, const std::string &owner = "this LAMMPS")
{
  return "pair_style mlff is not registered: the plugin was compiled for " + setting + " " + compiled + ", " + owner +
      " has " + running + ". " + advice;
}

std::string bytes(int n)
{
  return std::to_string(8 * n) + "-bit";
}

}    // namespace

std::string load_refusal(const BuildSettings &compiled, const BuildSettings &running)
{
  const std::string rebuild = "Build the plugin with -D LAMMPS_SOURCE_DIR and -D LAMMPS_BUILD_DIR of this LAMMPS.";
  if (compiled.lammps_version != running.lammps_version)
    return refusal("LAMMPS version", std::to_string(compiled.lammps_version), std::to_string(running.lammps_version),
                   rebuild);
  if (compiled.bigint != running.bigint)
    return refusal("bigint of", bytes(compiled.bigint), bytes(running.bigint), rebuild);
  if (compiled.tagint != running.tagint)
    return refusal("atom IDs (tagint) of", bytes(compiled.tagint), bytes(running.tagint), rebuild);
  if (compiled.imageint != running.imageint)
    return refusal("image flags (imageint) of", bytes(compiled.imageint), bytes(running.imageint), rebuild);
  if (compiled.mpi != running.mpi)
    return refusal("MPI", compiled.mpi ? "on" : "off", running.mpi ? "on" : "off", rebuild);
  if (!compiled.mpi_library.empty() && !running.mpi_library.empty() && compiled.mpi_library != running.mpi_library)
    return refusal("the MPI library", compiled.mpi_library, running.mpi_library,
                   "Load the MPI that LAMMPS was built with and build the plugin again.");
  if (compiled.kokkos_version != running.kokkos_version)
    return refusal("Kokkos", compiled.kokkos_version, running.kokkos_version, rebuild);
  if (compiled.kokkos_precision != running.kokkos_precision)
    return refusal("KOKKOS precision", compiled.kokkos_precision, running.kokkos_precision, rebuild);
  if (compiled.kokkos_layout != running.kokkos_layout)
    return refusal("KOKKOS layout", compiled.kokkos_layout, running.kokkos_layout, rebuild);
  if (compiled.kokkos_backends != running.kokkos_backends)
    return refusal("the Kokkos back ends", compiled.kokkos_backends, running.kokkos_backends, rebuild);
  if (!compiled.libtorch.empty() && !running.libtorch.empty() && compiled.libtorch != running.libtorch)
    return refusal("LibTorch", compiled.libtorch, running.libtorch,
                   "Use Python with torch " + compiled.libtorch +
                       ", or build the plugin with -D MLFF_LIBTORCH of that torch.",
                   "this process");
  return "";
}

}    // namespace mlff
