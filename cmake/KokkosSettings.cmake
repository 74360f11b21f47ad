# The Kokkos with which LAMMPS was built, and the settings of its package KOKKOS -> target MLFF::lammps_kokkos.
#
# They come from LAMMPS_BUILD_DIR/CMakeCache.txt. An external Kokkos is found where that build found it; of a bundled one,
# which is inside liblammps, only the headers are needed.
if(NOT LAMMPS_BUILD_DIR)
  message(FATAL_ERROR
    "Expected -D LAMMPS_BUILD_DIR=... for mlff/kk, whose Kokkos and settings are read from there, found none. Give it, or "
    "build the host style alone: -D MLFF_BUILD_KOKKOS=OFF.")
endif()
file(STRINGS ${LAMMPS_SOURCE_DIR}/src/KOKKOS/kokkos_type.h has_transform_views REGEX "ttransform_kkacc_1d_9" LIMIT_COUNT 1)
if(NOT has_transform_views)
  message(FATAL_ERROR
    "Expected LAMMPS 10 Sep 2025 or newer for mlff/kk, found ${LAMMPS_VERSION_TEXT}. Use a newer LAMMPS, or build the host "
    "style alone: -D MLFF_BUILD_KOKKOS=OFF.")
endif()
load_cache(${LAMMPS_BUILD_DIR} READ_WITH_PREFIX built_ EXTERNAL_KOKKOS Kokkos_DIR CMAKE_CXX_STANDARD)

string(TOUPPER "${built_KOKKOS_PREC}" precision)
if(NOT precision STREQUAL DOUBLE)
  message(FATAL_ERROR
    "Expected a LAMMPS with KOKKOS_PREC double for mlff/kk, found ${built_KOKKOS_PREC} in ${LAMMPS_BUILD_DIR}: others narrow "
    "positions before the style sees them. Build LAMMPS with -D KOKKOS_PREC=double, or the host style alone: "
    "-D MLFF_BUILD_KOKKOS=OFF.")
endif()
string(TOUPPER "${built_KOKKOS_LAYOUT}" layout)

add_library(MLFF::lammps_kokkos INTERFACE IMPORTED)
target_include_directories(MLFF::lammps_kokkos SYSTEM INTERFACE ${LAMMPS_SOURCE_DIR}/src/KOKKOS)
target_compile_definitions(MLFF::lammps_kokkos INTERFACE LMP_KOKKOS LMP_KOKKOS_DOUBLE_DOUBLE LMP_KOKKOS_LAYOUT_${layout})
if(built_EXTERNAL_KOKKOS)
  find_package(Kokkos CONFIG REQUIRED PATHS ${built_Kokkos_DIR})
  target_link_libraries(MLFF::lammps_kokkos INTERFACE Kokkos::kokkos)
else()
  set(bundled ${LAMMPS_SOURCE_DIR}/lib/kokkos)
  if(NOT EXISTS ${LAMMPS_BUILD_DIR}/lib/kokkos/KokkosCore_config.h)
    message(FATAL_ERROR
      "Expected the headers of the Kokkos bundled with LAMMPS in ${LAMMPS_BUILD_DIR}/lib/kokkos, found none. Give the folder "
      "in which that LAMMPS was built.")
  endif()
  target_include_directories(MLFF::lammps_kokkos SYSTEM INTERFACE ${LAMMPS_BUILD_DIR}/lib/kokkos
    ${bundled}/core/src ${bundled}/containers/src ${bundled}/algorithms/src ${bundled}/simd/src ${bundled}/tpls/desul/include
    ${bundled}/tpls/mdspan/include ${LAMMPS_BUILD_DIR}/lib/kokkos/core/src)
  find_package(OpenMP COMPONENTS CXX)
  if(OpenMP_CXX_FOUND)
    target_link_libraries(MLFF::lammps_kokkos INTERFACE OpenMP::OpenMP_CXX)
  endif()
endif()
