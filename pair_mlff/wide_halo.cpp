#include "wide_halo.h"

#include "comm.h"
#include "domain.h"
#include "error.h"
#include "lammps.h"

#include <string>

using namespace LAMMPS_NS;

void WideHalo::widen(double width)
{
  Comm &comm = *lmp_->comm;
  const Domain &domain = *lmp_->domain;
  if (comm.mode != Comm::SINGLE)
    lmp_->error->all(FLERR,
                     "pair_style mlff: expected 'comm_modify mode single' for a wide halo of ghosts, found another "
                     "mode. Use that, or 'ghosts exchange' where the student can be run in parts (the built-in "
                     "network, without 'jit aot').");
  for (int k = 0; k < 3; ++k)
    if (comm.style == Comm::TILED && domain.periodicity[k] && domain.prd[k] < width)
      lmp_->error->all(FLERR,
                       "pair_style mlff: expected periodic box lengths of at least " + std::to_string(width) +
                           ", the width of the wide halo of ghosts, with 'comm_style tiled', found " +
                           std::to_string(domain.prd[k]) +
                           ". Use 'comm_style brick', or 'ghosts exchange' where the student can be run in parts (the "
                           "built-in network, without 'jit aot').");
  restore();
  if (comm.cutghostuser >= width) return;
  before_ = comm.cutghostuser;
  comm.cutghostuser = width_ = width;
}

void WideHalo::restore()
{
  if (width_ > 0.0 && lmp_->comm->cutghostuser == width_) lmp_->comm->cutghostuser = before_;
  width_ = 0.0;
}
