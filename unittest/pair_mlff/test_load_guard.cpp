#include "load_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

using mlff::BuildSettings;
using testing::HasSubstr;

namespace {

BuildSettings good()
{
  return {20260704, 8, 4, 4, true, "Open MPI", "5.0.2", "double", "legacy", "cuda openmp serial", "2.11.0"};
}

// The refusal when the running LAMMPS differs from good() by `change`.
std::string refusal(const std::function<void(BuildSettings &)> &change)
{
  BuildSettings running = good();
  change(running);
  return mlff::load_refusal(good(), running);
}

}    // namespace

TEST(LoadGuard, AcceptsTheLammpsItWasCompiledFor)
{
  EXPECT_EQ(mlff::load_refusal(good(), good()), "");
}

TEST(LoadGuard, NamesTheSettingThatDiffersWithBothValues)
{
  EXPECT_THAT(refusal([](auto &s) { s.lammps_version = 20250722; }),
              HasSubstr("compiled for LAMMPS version 20260704, this LAMMPS has 20250722"));
  EXPECT_THAT(refusal([](auto &s) { s.bigint = 4; }), HasSubstr("bigint of 64-bit, this LAMMPS has 32-bit"));
  EXPECT_THAT(refusal([](auto &s) { s.tagint = 8; }), HasSubstr("(tagint) of 32-bit, this LAMMPS has 64-bit"));
  EXPECT_THAT(refusal([](auto &s) { s.imageint = 8; }),
              HasSubstr("image flags (imageint) of 32-bit, this LAMMPS has 64-bit"));
  EXPECT_THAT(refusal([](auto &s) { s.mpi = false; }), HasSubstr("MPI on, this LAMMPS has off"));
  EXPECT_THAT(refusal([](auto &s) { s.mpi_library = "MPICH"; }),
              HasSubstr("MPI library Open MPI, this LAMMPS has MPICH"));
  EXPECT_THAT(refusal([](auto &s) { s.kokkos_version = "5.1.0"; }), HasSubstr("Kokkos 5.0.2, this LAMMPS has 5.1.0"));
  EXPECT_THAT(refusal([](auto &s) { s.kokkos_precision = "mixed"; }),
              HasSubstr("KOKKOS precision double, this LAMMPS has mixed"));
  EXPECT_THAT(refusal([](auto &s) { s.kokkos_layout = "default"; }),
              HasSubstr("KOKKOS layout legacy, this LAMMPS has default"));
  EXPECT_THAT(refusal([](auto &s) { s.kokkos_backends = "openmp"; }),
              HasSubstr("the Kokkos back ends cuda openmp serial, this LAMMPS has openmp"));
  EXPECT_THAT(refusal([](auto &s) { s.libtorch = "2.9.1"; }), HasSubstr("LibTorch 2.11.0, this process has 2.9.1"));
}

TEST(LoadGuard, SaysWhatToDo)
{
  EXPECT_THAT(refusal([](auto &s) { s.tagint = 8; }), HasSubstr("-D LAMMPS_BUILD_DIR of this LAMMPS"));
  EXPECT_THAT(refusal([](auto &s) { s.mpi_library = "MPICH"; }), HasSubstr("build the plugin again"));
  EXPECT_THAT(refusal([](auto &s) { s.libtorch = "2.9.1"; }), HasSubstr("Use Python with torch 2.11.0, or build"));
}

TEST(LoadGuard, UnknownMpiLibrariesAreNotCompared)
{
  EXPECT_EQ(refusal([](auto &s) { s.mpi_library = ""; }), "");
}
