/* ----------------------------------------------------------------------
   pair_style mlff: the parts of a step that depend on where the atoms lie, in host memory.

   ../kokkos/pair_mlff_kokkos.cpp has the same on the device.
------------------------------------------------------------------------- */

#include "pair_mlff.h"

#include "edge_builder.h"
#include "engine.h"
#include "model_file.h"
#include "ranks.h"
#include "row_exchange.h"
#include "scatter.h"
#include "units.h"

#include "atom.h"
#include "update.h"

#include <cmath>
#include <numeric>

using namespace LAMMPS_NS;

mlff::Device PairMLFF::device() const
{
  return {};
}

void PairMLFF::make_edge_builder()
{
  edge_builder_ = std::make_unique<EdgeBuilder>(lmp, element_of_type_, model_->cutoff, 1.0 / units_->length);
}

void PairMLFF::start_tally(int eflag, int vflag)
{
  ev_init(eflag, vflag);
}

void PairMLFF::rebuild_rows()
{
  edge_builder_->rebuild(*list, one_rank() ? owners_of_ghosts() : std::vector<int>(), halo());
}

// Each atom sends its index to its ghosts, over any number of images, so no 'atom_modify map' is needed.
std::vector<int> PairMLFF::owners_of_ghosts()
{
  std::vector<double> owner(atom->nlocal + atom->nghost);
  std::iota(owner.begin(), owner.begin() + atom->nlocal, 0.0);
  exchange_->set_nodes(nullptr);
  exchange_->forward({owner.data(), mlff::Rows::Type::FLOAT64, 1});
  return std::vector<int>(owner.begin(), owner.end());
}

mlff::EdgeList PairMLFF::build_edges()
{
  const mlff::EdgeList edges = edge_builder_->edges();
  exchange_->set_nodes(edge_builder_->node_of_atom().data());
  return edges;
}

void PairMLFF::tally_energy(const mlff::EdgeList &edges, const mlff::Result &result)
{
  for (int c = 0; c < edges.num_owned_centers; ++c) {
    const int i = edge_builder_->atom_of_center()[c];
    const double energy = result.atom_energy[c] * tally_units_->energy;
    if (!std::isfinite(energy)) not_finite_ = {atom->tag[i], update->ntimestep};
    if (eflag_global) eng_vdwl += energy;
    if (eflag_atom) eatom[i] += energy;
  }
}

// Ghosts' shares go home through an exchange of our own, with newton on and off alike.
void PairMLFF::share_forces(const mlff::EdgeList &edges, const double *gradient, int width, double *total_virial)
{
  shares_.assign(static_cast<std::size_t>(edges.num_nodes) * width, 0.0);
  mlff::scatter_edges(edges, gradient, {shares_.data(), width, total_virial});
  if (!one_rank()) exchange_->reverse({shares_.data(), mlff::Rows::Type::FLOAT64, width});
}

void PairMLFF::add_shares(const mlff::EdgeList &edges, int width)
{
  for (int c = 0; c < edges.num_owned_centers; ++c) {
    const int i = edge_builder_->atom_of_center()[c];
    const double *share = &shares_[static_cast<std::size_t>(c) * width];
    if (!std::isfinite(share[0] + share[1] + share[2])) not_finite_ = {atom->tag[i], update->ntimestep};
    for (int a = 0; a < 3; ++a) atom->f[i][a] += share[a] * tally_units_->force();
    if (vflag_atom)
      for (int k = 0; k < 6; ++k) vatom[i][k] += share[3 + k] * tally_units_->energy;
    if (cvflag_atom)
      for (int k = 0; k < 9; ++k) cvatom[i][k] += share[3 + k] * tally_units_->energy;
  }
}

std::vector<double> PairMLFF::on_host(const double *values, std::size_t size) const
{
  return std::vector<double>(values, values + size);
}

const double *PairMLFF::shares() const
{
  return shares_.data();
}

std::vector<int> PairMLFF::atoms_of_owned_centers(int num_owned_centers) const
{
  const std::vector<int> &all = edge_builder_->atom_of_center();
  return std::vector<int>(all.begin(), all.begin() + num_owned_centers);
}

double PairMLFF::bytes_of_edges() const
{
  return edge_builder_->memory_usage();
}

int PairMLFF::ranks_that_share_memory() const
{
  return mlff::ranks_on_this_node(world);
}
