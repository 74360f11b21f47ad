# What models/ reads its files with: libzip, nlohmann-json and Nettle (SHA-256; its licence fits LAMMPS's GPL-2).
function(mlff_find_header_and_library name header library package)
  find_path(MLFF_${name}_INCLUDE_DIR ${header})
  set(found ${MLFF_${name}_INCLUDE_DIR})
  if(library)
    find_library(MLFF_${name}_LIBRARY ${library})
    if(NOT MLFF_${name}_LIBRARY)
      set(found FALSE)
    endif()
  endif()
  if(NOT found)
    message(FATAL_ERROR
      "Expected ${name} (header ${header}), found none. Install it (Debian and Ubuntu: apt-get install ${package}) "
      "or point CMAKE_PREFIX_PATH to it.")
  endif()
  mark_as_advanced(MLFF_${name}_INCLUDE_DIR MLFF_${name}_LIBRARY)
  add_library(MLFF::${name} INTERFACE IMPORTED)
  # SYSTEM would move /usr/include in front of the compiler's own; it is searched anyway
  if(NOT MLFF_${name}_INCLUDE_DIR IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    target_include_directories(MLFF::${name} SYSTEM INTERFACE ${MLFF_${name}_INCLUDE_DIR})
  endif()
  if(library)
    target_link_libraries(MLFF::${name} INTERFACE ${MLFF_${name}_LIBRARY})
  endif()
endfunction()

mlff_find_header_and_library(zip zip.h zip libzip-dev)
mlff_find_header_and_library(nettle nettle/sha2.h nettle nettle-dev)
mlff_find_header_and_library(json nlohmann/json.hpp "" nlohmann-json3-dev)
