# The settings with which LAMMPS was built, so that the plugin is built with the same -> target MLFF::lammps.
#
# They come from LAMMPS_BUILD_DIR/CMakeCache.txt, or from `lmp -h` (LAMMPS_EXECUTABLE), or from the options LAMMPS_SIZES
# and LAMMPS_MPI (ON/OFF). Sources that disagree stop with one sentence.
set(LAMMPS_SIZES "" CACHE STRING "Integer sizes of LAMMPS: smallbig or bigbig (default: from the build)")
set(LAMMPS_MPI "" CACHE STRING "Whether LAMMPS was built with MPI: ON or OFF (default: from the build)")

# What `lmp -h` prints: told_version, told_sizes, told_mpi, told_plugin; told_error where it does not run.
function(mlff_ask_lammps executable)
  execute_process(COMMAND ${executable} -h OUTPUT_VARIABLE help ERROR_VARIABLE error RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    string(STRIP "${status} ${error}" error)
    set(told_error "${error}" PARENT_SCOPE)
    return()
  endif()
  if(help MATCHES "Massively Parallel Simulator - ([0-9]+ [A-Z][a-z][a-z] [0-9]+)")
    set(told_version ${CMAKE_MATCH_1} PARENT_SCOPE)
  endif()
  if(help MATCHES "-DLAMMPS_(SMALLBIG|BIGBIG)")
    string(TOLOWER ${CMAKE_MATCH_1} sizes)
    set(told_sizes ${sizes} PARENT_SCOPE)
  endif()
  set(told_mpi ON PARENT_SCOPE)
  if(help MATCHES "MPI v[0-9.]+: *LAMMPS MPI STUBS")
    set(told_mpi OFF PARENT_SCOPE)
  endif()
  set(told_plugin OFF PARENT_SCOPE)
  string(REGEX MATCH "Installed packages:[A-Z0-9 \n-]*" packages "${help}")
  if(packages MATCHES "[ \n]PLUGIN[ \n]")
    set(told_plugin ON PARENT_SCOPE)
  endif()
endfunction()

# Stops unless both values mean the same; an empty one says nothing.
function(mlff_expect_same setting value where other_value other_where advice)
  if(value STREQUAL "" OR other_value STREQUAL "")
    return()
  endif()
  if(setting STREQUAL "MPI") # on, yes and 1 are the same
    foreach(v value other_value)
      if(${v})
        set(${v} ON)
      else()
        set(${v} OFF)
      endif()
    endforeach()
  endif()
  if(NOT value STREQUAL other_value)
    message(FATAL_ERROR
      "Expected one LAMMPS, found ${setting} ${value} in ${where} and ${other_value} in ${other_where}. ${advice}")
  endif()
endfunction()

# ---- the build folder
if(LAMMPS_BUILD_DIR)
  if(NOT EXISTS ${LAMMPS_BUILD_DIR}/CMakeCache.txt)
    message(FATAL_ERROR
      "LAMMPS_BUILD_DIR: expected a folder in which CMake built LAMMPS, found no CMakeCache.txt in ${LAMMPS_BUILD_DIR}.")
  endif()
  load_cache(${LAMMPS_BUILD_DIR} READ_WITH_PREFIX built_
    LAMMPS_SIZES LAMMPS_MACHINE BUILD_MPI PKG_PLUGIN PKG_KOKKOS KOKKOS_PREC KOKKOS_LAYOUT
    CMAKE_CXX_COMPILER CMAKE_HOME_DIRECTORY MPI_CXX_COMPILER MPI_CXX_HEADER_DIR)
  set(where "the build in ${LAMMPS_BUILD_DIR}")
  get_filename_component(built_source "${built_CMAKE_HOME_DIRECTORY}" DIRECTORY)
  if(NOT LAMMPS_SOURCE_DIR)
    set(LAMMPS_SOURCE_DIR ${built_source} CACHE PATH "LAMMPS source tree" FORCE)
  endif()
  get_filename_component(real_built "${built_source}" REALPATH)
  get_filename_component(real_given "${LAMMPS_SOURCE_DIR}" REALPATH)
  mlff_expect_same("the sources" "${real_given}" LAMMPS_SOURCE_DIR "${real_built}" ${where}
    "Give the sources from which that LAMMPS was built, or leave LAMMPS_SOURCE_DIR out.")
  set(lmp ${LAMMPS_BUILD_DIR}/lmp)
  if(built_LAMMPS_MACHINE)
    string(APPEND lmp _${built_LAMMPS_MACHINE})
  endif()
  if(NOT LAMMPS_EXECUTABLE AND EXISTS ${lmp})
    set(LAMMPS_EXECUTABLE ${lmp} CACHE FILEPATH "LAMMPS executable" FORCE)
  endif()
endif()

# ---- the executable
if(LAMMPS_EXECUTABLE)
  mlff_ask_lammps(${LAMMPS_EXECUTABLE})
  if(told_error AND NOT LAMMPS_BUILD_DIR)
    message(FATAL_ERROR
      "LAMMPS_EXECUTABLE: expected '${LAMMPS_EXECUTABLE} -h' to print LAMMPS's settings, it failed: ${told_error}")
  elseif(told_error) # a binary for other nodes than this one; its build folder says enough
    message(STATUS "${LAMMPS_EXECUTABLE} does not run here and is not asked for its settings: ${told_error}")
  endif()
endif()

if(LAMMPS_BUILD_DIR)
  set(built_sizes "${built_LAMMPS_SIZES}")
  set(built_mpi "${built_BUILD_MPI}")
  set(built_plugin "${built_PKG_PLUGIN}")
  set(advice "Build LAMMPS again, or give the folder in which this executable was built.")
  mlff_expect_same("integer sizes" "${built_sizes}" ${where} "${told_sizes}" "${LAMMPS_EXECUTABLE}" ${advice})
  mlff_expect_same(MPI "${built_mpi}" ${where} "${told_mpi}" "${LAMMPS_EXECUTABLE}" ${advice})
elseif(LAMMPS_EXECUTABLE)
  set(built_sizes "${told_sizes}")
  set(built_mpi "${told_mpi}")
  set(built_plugin "${told_plugin}")
  set(where "${LAMMPS_EXECUTABLE}")
elseif(LAMMPS_SIZES AND NOT LAMMPS_MPI STREQUAL "")
  set(built_sizes "${LAMMPS_SIZES}")
  set(built_mpi "${LAMMPS_MPI}")
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
file(STRINGS ${LAMMPS_SOURCE_DIR}/src/version.h version_line REGEX "LAMMPS_VERSION ")
string(REGEX REPLACE ".*\"(.*)\".*" "\\1" LAMMPS_VERSION_TEXT "${version_line}")
mlff_expect_same(version "${LAMMPS_VERSION_TEXT}" ${LAMMPS_SOURCE_DIR} "${told_version}" "${LAMMPS_EXECUTABLE}"
  "Give the sources of the LAMMPS that will load the plugin.")
set(advice "Leave the option out, or give the build that fits it.")
mlff_expect_same("integer sizes" "${LAMMPS_SIZES}" "option LAMMPS_SIZES" "${built_sizes}" ${where} ${advice})
mlff_expect_same(MPI "${LAMMPS_MPI}" "option LAMMPS_MPI" "${built_mpi}" ${where} ${advice})
if(NOT built_plugin)
  message(FATAL_ERROR "Expected a LAMMPS with package PLUGIN, found ${where} without it. Build LAMMPS with -D PKG_PLUGIN=on.")
endif()
if(NOT built_sizes MATCHES "^(smallbig|bigbig)$")
  message(FATAL_ERROR "Expected integer sizes smallbig or bigbig, found '${built_sizes}' in ${where}.")
endif()
if(built_CMAKE_CXX_COMPILER)
  get_filename_component(theirs ${built_CMAKE_CXX_COMPILER} REALPATH)
  get_filename_component(ours ${CMAKE_CXX_COMPILER} REALPATH)
  # wrappers call a compiler that we cannot see from here; a plugin of another one mostly loads
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
  if(built_MPI_CXX_COMPILER AND NOT MPI_CXX_COMPILER)
    set(MPI_CXX_COMPILER ${built_MPI_CXX_COMPILER} CACHE FILEPATH "MPI compiler for CXX")
  endif()
  find_package(MPI REQUIRED COMPONENTS CXX)
  if(built_MPI_CXX_HEADER_DIR)
    get_filename_component(theirs ${built_MPI_CXX_HEADER_DIR} REALPATH)
    get_filename_component(ours "${MPI_CXX_HEADER_DIR}" REALPATH)
    mlff_expect_same("the folder of mpi.h" "${ours}" "this build" "${theirs}" ${where}
      "Give LAMMPS's MPI with -D MPI_CXX_COMPILER=...")
  endif()
  target_link_libraries(MLFF::lammps INTERFACE MPI::MPI_CXX)
else()
  # The stubs have C++ names, which a LAMMPS with MPI lacks. With its own copy the plugin loads there too, far enough to
  # say what is wrong.
  add_library(mlff_mpi_stubs STATIC ${LAMMPS_SOURCE_DIR}/src/STUBS/mpi.cpp)
  target_include_directories(mlff_mpi_stubs SYSTEM PUBLIC ${LAMMPS_SOURCE_DIR}/src/STUBS)
  target_link_libraries(MLFF::lammps INTERFACE mlff_mpi_stubs)
endif()
set(kokkos_text)
if(built_PKG_KOKKOS) # asked for by nobody yet: the host style loads into a LAMMPS with and without it
  set(kokkos_text ", KOKKOS (${built_KOKKOS_PREC}, ${built_KOKKOS_LAYOUT})")
endif()
message(STATUS "LAMMPS ${LAMMPS_VERSION_TEXT}, ${built_sizes}, MPI ${built_mpi}${kokkos_text}, from ${where}")
