# The settings with which LAMMPS was built, so that the plugin is built with the same -> target MLFF::lammps.
#
# They come from LAMMPS_BUILD_DIR/CMakeCache.txt, or from `lmp -h` (LAMMPS_EXECUTABLE), or from the options LAMMPS_SIZES
# and LAMMPS_MPI (ON/OFF). Any contradiction stops with one sentence.
set(LAMMPS_SIZES "" CACHE STRING "Integer sizes of LAMMPS: smallbig or bigbig (default: from the build)")
set(LAMMPS_MPI "" CACHE STRING "Whether LAMMPS was built with MPI: ON or OFF (default: from the build)")

# ---- what the build says
if(LAMMPS_BUILD_DIR)
  if(NOT EXISTS ${LAMMPS_BUILD_DIR}/CMakeCache.txt)
    message(FATAL_ERROR
      "LAMMPS_BUILD_DIR: expected a folder in which CMake built LAMMPS, found no CMakeCache.txt in ${LAMMPS_BUILD_DIR}.")
  endif()
  load_cache(${LAMMPS_BUILD_DIR} READ_WITH_PREFIX built_
    LAMMPS_SIZES BUILD_MPI PKG_PLUGIN PKG_KOKKOS CMAKE_CXX_COMPILER CMAKE_HOME_DIRECTORY)
  set(built_sizes ${built_LAMMPS_SIZES})
  set(built_mpi ${built_BUILD_MPI})
  set(built_plugin ${built_PKG_PLUGIN})
  get_filename_component(built_source ${built_CMAKE_HOME_DIRECTORY} DIRECTORY)
  if(NOT LAMMPS_SOURCE_DIR)
    set(LAMMPS_SOURCE_DIR ${built_source} CACHE PATH "LAMMPS source tree" FORCE)
  endif()
  set(where "the build in ${LAMMPS_BUILD_DIR}")
  if(NOT LAMMPS_EXECUTABLE AND EXISTS ${LAMMPS_BUILD_DIR}/lmp)
    set(LAMMPS_EXECUTABLE ${LAMMPS_BUILD_DIR}/lmp CACHE FILEPATH "LAMMPS executable" FORCE)
  endif()
elseif(LAMMPS_EXECUTABLE)
  execute_process(COMMAND ${LAMMPS_EXECUTABLE} -h OUTPUT_VARIABLE help ERROR_VARIABLE help_error RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "LAMMPS_EXECUTABLE: expected '${LAMMPS_EXECUTABLE} -h' to print LAMMPS's settings, it failed: ${help_error}")
  endif()
  string(REGEX MATCH "-DLAMMPS_(SMALLBIG|BIGBIG)" sizes "${help}")
  string(TOLOWER "${CMAKE_MATCH_1}" built_sizes)
  if(help MATCHES "MPI v[0-9.]+: +LAMMPS MPI STUBS")
    set(built_mpi OFF)
  else()
    set(built_mpi ON)
  endif()
  if(help MATCHES "[ \n]PLUGIN[ \n]")
    set(built_plugin ON)
  endif()
  if(help MATCHES "Large-scale Atomic/Molecular Massively Parallel Simulator - ([0-9]+ [A-Z][a-z][a-z] [0-9]+)")
    set(built_version ${CMAKE_MATCH_1})
  endif()
  set(where "${LAMMPS_EXECUTABLE}")
elseif(LAMMPS_SIZES AND NOT LAMMPS_MPI STREQUAL "")
  set(built_sizes ${LAMMPS_SIZES})
  set(built_mpi ${LAMMPS_MPI})
  set(built_plugin ON)
  set(where "the options")
else()
  message(FATAL_ERROR
    "Expected the LAMMPS that will load the plugin, found none: give -D LAMMPS_SOURCE_DIR=... and one of "
    "-D LAMMPS_BUILD_DIR=... (its build folder), -D LAMMPS_EXECUTABLE=... (asked with -h), or both "
    "-D LAMMPS_SIZES=smallbig|bigbig and -D LAMMPS_MPI=ON|OFF. To build only the model's part: -D MLFF_BUILD_PLUGIN=OFF.")
endif()

# ---- contradictions
if(NOT EXISTS ${LAMMPS_SOURCE_DIR}/src/lammpsplugin.h)
  message(FATAL_ERROR
    "LAMMPS_SOURCE_DIR: expected LAMMPS's source tree (with src/lammpsplugin.h; an installed LAMMPS lacks it), found "
    "'${LAMMPS_SOURCE_DIR}'.")
endif()
file(STRINGS ${LAMMPS_SOURCE_DIR}/src/version.h version_line REGEX LAMMPS_VERSION)
string(REGEX REPLACE ".*\"(.*)\".*" "\\1" LAMMPS_VERSION_TEXT "${version_line}")
if(built_version AND NOT built_version STREQUAL LAMMPS_VERSION_TEXT)
  message(FATAL_ERROR
    "Expected one version of LAMMPS, found ${LAMMPS_VERSION_TEXT} in ${LAMMPS_SOURCE_DIR} and ${built_version} in ${where}. "
    "Give the sources of the LAMMPS that will load the plugin.")
endif()
if(built_source AND NOT built_source STREQUAL LAMMPS_SOURCE_DIR)
  get_filename_component(real_built ${built_source} REALPATH)
  get_filename_component(real_given ${LAMMPS_SOURCE_DIR} REALPATH)
  if(NOT real_built STREQUAL real_given)
    message(FATAL_ERROR
      "Expected the sources of ${where}, which are ${built_source}; found LAMMPS_SOURCE_DIR=${LAMMPS_SOURCE_DIR}.")
  endif()
endif()
if(NOT built_plugin)
  message(FATAL_ERROR "Expected a LAMMPS with package PLUGIN, found ${where} without it. Build LAMMPS with -D PKG_PLUGIN=on.")
endif()
foreach(setting sizes mpi)
  string(TOUPPER LAMMPS_${setting} option)
  if(setting STREQUAL mpi AND NOT "${${option}}" STREQUAL "")
    if((built_mpi AND NOT ${option}) OR (NOT built_mpi AND ${option}))
      message(FATAL_ERROR "${option}: expected ${built_mpi} as in ${where}, found ${${option}}.")
    endif()
  elseif(setting STREQUAL sizes AND ${option} AND NOT ${option} STREQUAL built_sizes)
    message(FATAL_ERROR "${option}: expected ${built_sizes} as in ${where}, found ${${option}}.")
  endif()
endforeach()
if(NOT built_sizes MATCHES "^(smallbig|bigbig)$")
  message(FATAL_ERROR "Expected integer sizes smallbig or bigbig, found '${built_sizes}' in ${where}.")
endif()
if(built_CMAKE_CXX_COMPILER AND NOT built_CMAKE_CXX_COMPILER STREQUAL CMAKE_CXX_COMPILER)
  get_filename_component(theirs ${built_CMAKE_CXX_COMPILER} REALPATH)
  get_filename_component(ours ${CMAKE_CXX_COMPILER} REALPATH)
  if(NOT theirs STREQUAL ours AND NOT built_CMAKE_CXX_COMPILER MATCHES "nvcc_wrapper|mpicxx|mpic\\+\\+")
    message(WARNING
      "LAMMPS was compiled with ${built_CMAKE_CXX_COMPILER}, the plugin will be with ${CMAKE_CXX_COMPILER}. If it fails to "
      "load, configure with -D CMAKE_CXX_COMPILER=${built_CMAKE_CXX_COMPILER}.")
  endif()
endif()

# ---- the target
string(TOUPPER ${built_sizes} sizes_upper)
add_library(MLFF::lammps INTERFACE IMPORTED)
target_include_directories(MLFF::lammps SYSTEM INTERFACE ${LAMMPS_SOURCE_DIR}/src)
target_compile_definitions(MLFF::lammps INTERFACE LAMMPS_${sizes_upper})
if(built_mpi)
  set(MPI_CXX_SKIP_MPICXX TRUE) # no reference to libmpi_cxx
  find_package(MPI REQUIRED COMPONENTS CXX)
  target_link_libraries(MLFF::lammps INTERFACE MPI::MPI_CXX)
else()
  target_include_directories(MLFF::lammps SYSTEM INTERFACE ${LAMMPS_SOURCE_DIR}/src/STUBS)
endif()
message(STATUS "LAMMPS ${LAMMPS_VERSION_TEXT}, ${built_sizes}, MPI ${built_mpi}, from ${where}")
