# A module that LAMMPS can load: NAME.so, never unloaded (LibTorch keeps threads), with the paths to LibTorch and MPI in it, when installed too.
function(mlff_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE mlff_warnings mlff_glue)
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".so" INSTALL_RPATH_USE_LINK_PATH TRUE)
  target_link_options(${name} PRIVATE -Wl,-z,nodelete)
endfunction()
