# A module that LAMMPS can load: NAME.so, never unloaded (LibTorch keeps threads), with the paths to LibTorch and MPI in it, when installed too.
function(mlff_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE mlff_warnings mlff_glue)
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".so" INSTALL_RPATH_USE_LINK_PATH TRUE)
  target_link_options(${name} PRIVATE -Wl,-z,nodelete)
endfunction()

# The same with the Kokkos variant. Kokkos is compiled against, not linked: LAMMPS has it already, as a library or inside
# its own.
function(mlff_add_kokkos_plugin name)
  add_library(${name}_objects OBJECT ${ARGN})
  target_link_libraries(${name}_objects PRIVATE mlff_warnings mlff_glue_kokkos)
  target_compile_definitions(${name}_objects PRIVATE MLFF_LIBTORCH_VERSION="${LibTorch_VERSION}")
  mlff_add_plugin(${name} $<TARGET_OBJECTS:${name}_objects> $<TARGET_OBJECTS:mlff_glue_kokkos>)
endfunction()
