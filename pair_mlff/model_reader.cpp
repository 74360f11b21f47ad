#include "model_reader.h"

#include "mlff_error.h"
#include "model_file.h"

#include "comm.h"
#include "lammps.h"
#include "utils.h"

#include <vector>

namespace LAMMPS_NS {

namespace {

template <typename T> void broadcast(T &values, MPI_Comm world)
{
  auto size = static_cast<bigint>(values.size());
  MPI_Bcast(&size, 1, MPI_LMP_BIGINT, 0, world);
  values.resize(size);
  MPI_Bcast(values.data(), static_cast<int>(size), MPI_CHAR, 0, world);
}

}    // namespace

std::unique_ptr<mlff::ModelFile> read_model(LAMMPS *lmp, const std::string &name)
{
  std::string path, failure;
  std::vector<char> bytes;
  if (lmp->comm->me == 0) {
    path = utils::get_potential_file_path(name);
    if (path.empty())
      failure = "pair_coeff for pair_style mlff: expected a student's file, found no file '" + name +
          "' here or in the folders of LAMMPS_POTENTIALS. Check the name, or set LAMMPS_POTENTIALS.";
    else
      try {
        bytes = mlff::ModelFile::read_bytes(path);
      } catch (const mlff::Error &e) {
        failure = e.what();
      }
  }
  broadcast(failure, lmp->world);
  if (!failure.empty()) throw mlff::Error(failure);
  broadcast(path, lmp->world);
  broadcast(bytes, lmp->world);
  return std::make_unique<mlff::ModelFile>(std::move(bytes), path);
}

}    // namespace LAMMPS_NS
