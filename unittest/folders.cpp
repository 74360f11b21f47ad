#include "folders.h"

std::string reference_file(const std::string &name)
{
  return MLFF_REFERENCE_DIR "/" + name;
}

std::string shipped_student(const std::string &name)
{
  return MLFF_POTENTIALS_DIR "/" + name;
}

std::string compiled_student(const std::string &name)
{
  return MLFF_AOT_DIR "/" + name;
}
