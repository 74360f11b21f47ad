# The Kokkos with which LAMMPS was built, and the settings of its package KOKKOS -> target MLFF::lammps_kokkos.
#
# They come from LAMMPS_BUILD_DIR/CMakeCache.txt. An external Kokkos is found where that build found it; of a bundled one,
# which is inside liblammps, only the headers are needed. Where mlff/kk cannot be built, the target is missing: with
# MLFF_BUILD_KOKKOS=AUTO that is said, with ON it is an error.
if(LAMMPS_BUILD_DIR)
  load_cache(${LAMMPS_BUILD_DIR} READ_WITH_PREFIX built_ EXTERNAL_KOKKOS Kokkos_DIR Kokkos_ENABLE_CUDA)
endif()
set(kokkos_types ${LAMMPS_SOURCE_DIR}/src/KOKKOS/kokkos_type.h)
set(transform_views)
if(EXISTS ${kokkos_types})
  file(STRINGS ${kokkos_types} transform_views REGEX "ttransform_kkacc_1d_9" LIMIT_COUNT 1)
endif()
string(TOUPPER "${built_KOKKOS_PREC}" precision)
string(TOUPPER "${built_KOKKOS_LAYOUT}" layout)

set(refusal)
if(NOT LAMMPS_BUILD_DIR)
  set(refusal "Expected -D LAMMPS_BUILD_DIR=... for mlff/kk, whose Kokkos and settings are read from there, found none.")
elseif(NOT built_PKG_KOKKOS)
  set(refusal "Expected a LAMMPS with package KOKKOS for mlff/kk, found ${LAMMPS_BUILD_DIR} without it.")
elseif(NOT transform_views)
  set(refusal "Expected LAMMPS 10 Sep 2025 or newer for mlff/kk, found ${LAMMPS_VERSION_TEXT}.")
elseif(NOT precision STREQUAL DOUBLE)
  set(refusal "Expected a LAMMPS with KOKKOS_PREC double for mlff/kk, found ${built_KOKKOS_PREC} in ${LAMMPS_BUILD_DIR}: others \
narrow positions before the style sees them.")
elseif(NOT built_EXTERNAL_KOKKOS AND NOT EXISTS ${LAMMPS_BUILD_DIR}/lib/kokkos/KokkosCore_config.h)
  set(refusal "Expected the headers of the Kokkos bundled with LAMMPS in ${LAMMPS_BUILD_DIR}/lib/kokkos, found none.")
endif()
if(refusal)
  if(NOT MLFF_BUILD_KOKKOS STREQUAL AUTO)
    message(FATAL_ERROR "${refusal} Build such a LAMMPS, or the host style alone: -D MLFF_BUILD_KOKKOS=OFF.")
  elseif(built_PKG_KOKKOS)
    message(STATUS "No mlff/kk, only the host style: ${refusal}")
  endif()
  return()
endif()

add_library(MLFF::lammps_kokkos INTERFACE IMPORTED)
target_include_directories(MLFF::lammps_kokkos SYSTEM INTERFACE ${LAMMPS_SOURCE_DIR}/src/KOKKOS)
target_compile_definitions(MLFF::lammps_kokkos INTERFACE LMP_KOKKOS LMP_KOKKOS_DOUBLE_DOUBLE LMP_KOKKOS_LAYOUT_${layout})
if(built_EXTERNAL_KOKKOS)
  find_package(Kokkos CONFIG REQUIRED PATHS ${built_Kokkos_DIR})
  target_link_libraries(MLFF::lammps_kokkos INTERFACE Kokkos::kokkos)
else()
  set(bundled ${LAMMPS_SOURCE_DIR}/lib/kokkos)
  target_include_directories(MLFF::lammps_kokkos SYSTEM INTERFACE
    ${LAMMPS_BUILD_DIR}/lib/kokkos ${LAMMPS_BUILD_DIR}/lib/kokkos/core/src ${bundled}/core/src ${bundled}/containers/src
    ${bundled}/algorithms/src ${bundled}/simd/src ${bundled}/tpls/desul/include ${bundled}/tpls/mdspan/include)
  find_package(OpenMP COMPONENTS CXX)
  if(OpenMP_CXX_FOUND)
    target_link_libraries(MLFF::lammps_kokkos INTERFACE OpenMP::OpenMP_CXX)
  endif()
  if(built_Kokkos_ENABLE_CUDA)
    # What an installed Kokkos does by itself: its launcher passes files that use Kokkos to the compiler of LAMMPS.
    set(launcher ${bundled}/bin/kokkos_launch_compiler)
    set_property(GLOBAL PROPERTY RULE_LAUNCH_COMPILE "${launcher} ${built_CMAKE_CXX_COMPILER} ${CMAKE_CXX_COMPILER}")
    target_compile_definitions(MLFF::lammps_kokkos INTERFACE KOKKOS_DEPENDENCE)
    file(STRINGS ${LAMMPS_BUILD_DIR}/lib/kokkos/KokkosCore_config.h gpu REGEX "define KOKKOS_ARCH_[A-Z]+[0-9]+$")
    string(REGEX MATCH "[0-9]+$" gpu "${gpu}")
    target_compile_options(MLFF::lammps_kokkos INTERFACE -extended-lambda -Wext-lambda-captures-this -arch=sm_${gpu})
  endif()
endif()

# Where its default device is: for the tests.
set(kokkos_on_gpu OFF)
if("CUDA" IN_LIST Kokkos_DEVICES OR built_Kokkos_ENABLE_CUDA)
  set(kokkos_on_gpu ON)
endif()
