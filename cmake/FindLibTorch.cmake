# LibTorch for the host: headers, torch_cpu and c10, from a wheel or a plain folder, with or without CUDA in it.
# find_package(Torch) of a CUDA wheel stops where no CUDA toolkit is installed; the host plugin needs none.
#
#   MLFF_LIBTORCH       folder with include/ and lib/; default: the torch package of Python3
#   LibTorch::LibTorch  target;  LibTorch_VERSION;  LibTorch_LIBRARY_DIR
if(NOT MLFF_LIBTORCH)
  find_package(Python3 COMPONENTS Interpreter QUIET)
  if(Python3_FOUND)
    execute_process(
      COMMAND ${Python3_EXECUTABLE} -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
      OUTPUT_VARIABLE libtorch_of_python OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed)
      set(MLFF_LIBTORCH ${libtorch_of_python} CACHE PATH "LibTorch" FORCE)
    endif()
  endif()
endif()

if(NOT MLFF_LIBTORCH)
  message(FATAL_ERROR
    "Expected LibTorch, found none. Give its folder (with include/ and lib/; the folder 'torch' of a PyTorch wheel "
    "will do) with -D MLFF_LIBTORCH=..., or configure with a Python that has torch: -D Python3_EXECUTABLE=...")
endif()
set(version_header ${MLFF_LIBTORCH}/include/torch/headeronly/version.h)
if(NOT EXISTS ${version_header})
  set(version_header ${MLFF_LIBTORCH}/include/torch/csrc/api/include/torch/version.h)
endif()
if(NOT EXISTS ${version_header})
  message(FATAL_ERROR "MLFF_LIBTORCH: expected a folder with LibTorch's include/ and lib/, found ${MLFF_LIBTORCH}.")
endif()
file(STRINGS ${version_header} version_lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
string(REGEX REPLACE "[^0-9;]" "" version_numbers "${version_lines}")
string(REPLACE ";" "." LibTorch_VERSION "${version_numbers}")

if(LibTorch_VERSION VERSION_LESS 2.7)
  message(FATAL_ERROR
    "Expected LibTorch 2.7 or newer, found ${LibTorch_VERSION} in ${MLFF_LIBTORCH}. Wheels before 2.7 are compiled "
    "with the old C++ ABI, which LAMMPS is not. Install a newer one (pip install 'torch>=2.7').")
endif()

set(LibTorch_LIBRARY_DIR ${MLFF_LIBTORCH}/lib)
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${LibTorch_LIBRARY_DIR} NO_DEFAULT_PATH NO_CACHE)
find_library(LibTorch_C10_LIBRARY c10 PATHS ${LibTorch_LIBRARY_DIR} NO_DEFAULT_PATH NO_CACHE)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY VERSION_VAR LibTorch_VERSION)

# A LibTorch that somebody built may still have the old ABI: then no function of it takes a std::__cxx11::string.
file(STRINGS ${LibTorch_C10_LIBRARY} new_abi_names REGEX "__cxx11" LIMIT_COUNT 1)
if(NOT new_abi_names)
  message(FATAL_ERROR
    "Expected a LibTorch compiled with the C++11 ABI (std::__cxx11::string), which LAMMPS has, found the old one in "
    "${LibTorch_C10_LIBRARY}. Take a wheel of PyTorch 2.7 or newer, or LibTorch's 'cxx11-abi' archive.")
endif()

add_library(LibTorch::LibTorch INTERFACE IMPORTED)
target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE
  ${MLFF_LIBTORCH}/include ${MLFF_LIBTORCH}/include/torch/csrc/api/include)
target_link_libraries(LibTorch::LibTorch INTERFACE ${LibTorch_CPU_LIBRARY} ${LibTorch_C10_LIBRARY})

if(MLFF_ENABLE_CUDA)
  find_library(LibTorch_CUDA_LIBRARY torch_cuda PATHS ${LibTorch_LIBRARY_DIR} NO_DEFAULT_PATH NO_CACHE)
  find_library(LibTorch_C10_CUDA_LIBRARY c10_cuda PATHS ${LibTorch_LIBRARY_DIR} NO_DEFAULT_PATH NO_CACHE)
  if(NOT LibTorch_CUDA_LIBRARY OR NOT LibTorch_C10_CUDA_LIBRARY)
    message(FATAL_ERROR
      "Expected a LibTorch with CUDA for MLFF_ENABLE_CUDA, found none in ${LibTorch_LIBRARY_DIR}. Take a wheel of PyTorch "
      "for CUDA, or configure with -D MLFF_ENABLE_CUDA=OFF.")
  endif()
  find_package(CUDAToolkit REQUIRED) # LibTorch's headers include those of the runtime, and we call it
  target_link_libraries(LibTorch::LibTorch INTERFACE ${LibTorch_CUDA_LIBRARY} ${LibTorch_C10_CUDA_LIBRARY} CUDA::cudart)
endif()
