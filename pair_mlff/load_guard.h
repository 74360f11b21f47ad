// Compares LAMMPS and LibTorch of the process that loads the plugin with those that it was compiled for. LAMMPS checks
// nothing of this: other integer sizes or another MPI load silently and crash later.
#pragma once

#include <string>

namespace mlff {

struct BuildSettings {
  int lammps_version = 0;                      // 20260704
  int bigint = 0, tagint = 0, imageint = 0;    // bytes
  bool mpi = false;                            // false: LAMMPS's own stubs
  std::string mpi_library;                     // "Open MPI", "MPICH", "" for stubs or others
  // of mlff/kk alone, else empty
  std::string kokkos_version;      // "5.0.2"
  std::string kokkos_precision;    // "double", "mixed", "single"
  std::string kokkos_layout;       // "legacy", "default"
  std::string kokkos_backends;     // "cuda openmp serial"
  // of the process rather than of LAMMPS; empty where it cannot be told
  std::string libtorch = "";    // "2.11.0"
};

// Empty when the plugin may register; else one sentence naming the setting that differs, both values and what to do.
std::string load_refusal(const BuildSettings &compiled, const BuildSettings &running);

}    // namespace mlff
