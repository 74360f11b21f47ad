# Target format-check: the format of our C++ and Python files, without changing them. Pinned to clang-format 14: others
# break lines elsewhere.
find_program(MLFF_CLANG_FORMAT NAMES clang-format-14 clang-format)
mark_as_advanced(MLFF_CLANG_FORMAT)
find_package(Python3 COMPONENTS Interpreter QUIET)
if(MLFF_CLANG_FORMAT AND Python3_FOUND)
  file(GLOB_RECURSE cxx_files CONFIGURE_DEPENDS
    models/*.h models/*.cpp kokkos/*.h kokkos/*.cpp pair_mlff/*.h pair_mlff/*.cpp unittest/*.h unittest/*.cpp)
  add_custom_target(format-check
    COMMAND ${MLFF_CLANG_FORMAT} --dry-run -Werror ${cxx_files}
    COMMAND ${Python3_EXECUTABLE} -m ruff check --no-cache models/python unittest tools examples
    COMMAND ${Python3_EXECUTABLE} -m ruff format --check --no-cache models/python unittest tools examples
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
endif()
