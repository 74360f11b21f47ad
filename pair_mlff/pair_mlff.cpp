/* ----------------------------------------------------------------------
   pair_style mlff: distilled neural-network potentials (students).

   One step: LAMMPS's full neighbor list -> edges -> engine -> gradients on edges -> forces and virials.
------------------------------------------------------------------------- */

#include "pair_mlff.h"

#include "edge_builder.h"
#include "engine.h"
#include "input_checks.h"
#include "keywords.h"
#include "lammps_versions.h"
#include "memory_need.h"
#include "mlff_error.h"
#include "model_file.h"
#include "model_reader.h"
#include "ranks.h"
#include "report.h"
#include "row_exchange.h"
#include "scatter.h"
#include "self_check.h"
#include "step_times.h"
#include "units.h"
#include "wide_halo.h"

#include "atom.h"
#include "citeme.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neigh_request.h"
#include "neighbor.h"
#include "timer.h"
#include "update.h"
#include "utils.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

// Messages are whole strings: LAMMPS's functions that format take arguments of {fmt} or of std::format, whichever its
// compiler had, and a plugin compiled by another would look for the wrong ones.

/* ---------------------------------------------------------------------- */

PairMLFF::PairMLFF(LAMMPS *lmp) :
    Pair(lmp), exchange_(std::make_unique<RowExchange>(lmp, this)), keywords_(std::make_unique<mlff::Keywords>()),
    wide_halo_(std::make_unique<WideHalo>(lmp)), times_(std::make_unique<mlff::StepTimes>())
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  respa_enable = 0;
  writedata = 0;
  no_virial_fdotr_compute = 1;    // whole forces are put on owners, so f.r over ghosts would be wrong
  centroidstressflag = CENTROID_AVAIL;
  nextra = 3;    // differences of the last check: of energy and virial an atom, of forces
  pvector = new double[nextra]{};
  if (lmp->citeme) lmp->citeme->add(mlff::own_citation());
}

PairMLFF::~PairMLFF()
{
  if (copymode) return;
  delete[] pvector;
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
    memory->destroy(scale_);
  }
}

/* ---------------------------------------------------------------------- */

void PairMLFF::settings(int narg, char **arg)
{
  InputChecks(lmp).variant(kokkosable != 0);
  // the command may be repeated: whatever an earlier one left is dropped
  wide_halo_->restore();
  model_.reset();
  engine_.reset();
  edge_builder_.reset();
  if (allocated)
    for (int i = 1; i <= atom->ntypes; ++i)
      for (int j = i; j <= atom->ntypes; ++j) setflag[i][j] = 0;
  try {
    *keywords_ = mlff::parse_keywords(std::vector<std::string>(arg, arg + narg));
  } catch (const mlff::Error &e) {
    error->all(FLERR, e.what());
  }
}

void PairMLFF::coeff(int narg, char **arg)
{
  if (narg != 3 + atom->ntypes)
    error->all(FLERR,
               "pair_coeff for pair_style mlff: expected '* * FILE' and one element (or NULL) for each of the " +
                   std::to_string(atom->ntypes) + " atom types, found " + std::to_string(std::max(narg - 3, 0)) +
                   " words after FILE.");
  allocate();
  map_element2type(narg - 3, arg + 3);
  try {
    model_ = read_model(lmp, arg[2]);
    map_elements();
    units_ = std::make_unique<mlff::Units>(mlff::units_of_style(update->unit_style));
    tally_units_ = std::make_unique<mlff::Units>(*units_);
    make_engines();
  } catch (const mlff::Error &e) {
    error->all(FLERR, e.what());
  }
  make_edge_builder();
  rows_step_ = -1;
  reported_ = warm_ = checked_ = false;
  if (lmp->citeme)
    for (const auto &reference : model_->references) lmp->citeme->add(mlff::model_citation(*model_, reference));
}

void PairMLFF::allocate()
{
  if (allocated) return;
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  memory->create(scale_, n, n, "pair:scale");
  map = new int[n];
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      setflag[i][j] = 0;
      scale_[i][j] = 1.0;
    }
  allocated = 1;
}

// A library may refuse on one rank alone, so all ask one another.
void PairMLFF::make_engines()
{
  std::string failure;
  try {
    const mlff::EngineSettings settings{keywords_->precision, keywords_->jit, comm->nthreads, device(),
                                        keywords_->chunk};
    engine_ = make_engine(*model_, settings);
    mlff::check_engine(*keywords_, *engine_);
    exact_engine_.reset();
    if (keywords_->check.when != mlff::Check::When::OFF)
      exact_engine_ = mlff::make_exact_engine(*model_, settings, mlff::SelfCheck::SLICE);
    check_ = std::make_unique<mlff::SelfCheck>(keywords_->check, keywords_->precision);
  } catch (const mlff::Error &e) {
    failure = e.what();
  }
  mlff::throw_together(failure, world);
}

std::unique_ptr<mlff::Engine> PairMLFF::make_engine(const mlff::ModelFile &model, const mlff::EngineSettings &settings)
{
  return mlff::make_engine(model, settings);
}

void PairMLFF::map_elements()
{
  element_of_type_.assign(atom->ntypes + 1, -1);
  for (int type = 1; type <= atom->ntypes; ++type)
    if (map[type] >= 0) element_of_type_[type] = model_->element_index(elements[map[type]]);
}

/* ---------------------------------------------------------------------- */

void PairMLFF::init_style()
{
  if (!engine_) error->all(FLERR, "pair_style mlff: expected 'pair_coeff * * FILE elements' before a run, found none.");
  InputChecks(lmp).run(tail_flag != 0, offset_flag != 0);

  if (has_wide_halo())
    wide_halo_->widen(halo_width());
  else
    wide_halo_->restore();
  neighbor->add_request(this, NeighConst::REQ_FULL | (halo() > 0 ? NeighConst::REQ_GHOST : 0));
  widen_buffers();
}

// LAMMPS sizes its buffers by these and never checks them. hybrid styles copied ours before the file was read.
void PairMLFF::widen_buffers()
{
  std::size_t row_bytes = engine_->max_bytes_per_row();
  if (exact_engine_) row_bytes = std::max(row_bytes, exact_engine_->max_bytes_per_row());
  const int row = one_rank() || has_wide_halo() ? 1 : RowExchange::doubles_for(row_bytes);
  comm_forward = row;
  comm_reverse = comm_reverse_off = std::max(row, mlff::FORCE_AND_VIRIAL_WIDTH);
  force->pair->comm_forward = std::max(force->pair->comm_forward, comm_forward);
  force->pair->comm_reverse = std::max(force->pair->comm_reverse, comm_reverse);
  force->pair->comm_reverse_off = std::max(force->pair->comm_reverse_off, comm_reverse_off);
}

bool PairMLFF::has_wide_halo() const
{
  return !one_rank() && (keywords_->ghosts == mlff::Ghosts::HALO || !engine_->exchanges_rows());
}

int PairMLFF::halo() const
{
  return has_wide_halo() ? model_->num_interactions - 1 : 0;
}

// An energy depends on atoms up to T edges away. Of a chain that is T cutoffs long now, both ends may have moved by half
// a skin since the ghosts were chosen.
double PairMLFF::halo_width() const
{
  return model_->num_interactions * model_->cutoff * units_->length + neighbor->skin;
}

double PairMLFF::init_one(int i, int j)
{
  if (setflag[i][j] == 0)
    error->all(FLERR,
               "pair_style mlff: expected elements for types " + std::to_string(i) + " and " + std::to_string(j) +
                   " in pair_coeff, found NULL.");
  return model_->cutoff * units_->length;
}

bool PairMLFF::one_rank() const
{
  return comm->nprocs == 1;
}

/* ---------------------------------------------------------------------- */

void PairMLFF::setup()
{
  *times_ = {.warm_up = times_->warm_up};
}

void PairMLFF::compute(int eflag, int vflag)
{
  start_tally(eflag, vflag);
  try {
    tally_units_->energy = scale() * units_->energy;
    refresh_rows();
    const mlff::EdgeList edges = mlff::timed(times_->edges, [&] { return build_edges(); });
    warm_up(edges);
    report(edges);
    const long forward = exchange_->num_forward(), reverse = exchange_->num_reverse();
    // the same on every rank, since what follows is collective; a rank without edges has no gradient to look at
    const mlff::Request request{!energy_only(*this)};
    const mlff::Result result = evaluate(edges, request);
    tally_energy(edges, result);
    if (request.forces) mlff::timed(times_->scatter, [&] { scatter_forces(edges, result); });
    if (request.forces)
      stop_where_not_finite();
    else
      refuse_where_not_finite();
    times_->forward += exchange_->num_forward() - forward;
    times_->reverse += exchange_->num_reverse() - reverse;
    if (request.forces) check(edges, result);
  } catch (const mlff::Error &e) {
    error->one(FLERR, e.what());
  }
  finish_tally();
  ++times_->calls;
}

// LAMMPS rebuilds its list now and then; rows are copied and sorted only then.
void PairMLFF::refresh_rows()
{
  const mlff::Stopwatch watch(times_->edges);
  const bool rebuilt = neighbor->ago == 0 || neighbor->lastcall != rows_step_ || list != rows_list_ ||
      atom->nlocal != rows_nlocal_ || atom->nghost != rows_nghost_;
  if (!rebuilt) return;
  rebuild_rows();
  rows_step_ = neighbor->lastcall;
  rows_list_ = list;
  rows_nlocal_ = atom->nlocal;
  rows_nghost_ = atom->nghost;
}

void PairMLFF::warm_up(const mlff::EdgeList &edges)
{
  if (warm_) return;
  const mlff::Stopwatch watch(times_->warm_up);
  engine_->limit_memory(engine_->free_bytes() / ranks_that_share_memory());
  engine_->warm_up(edges);
  warm_ = true;
}

// After the warm-up, which tells how much memory an evaluation takes.
void PairMLFF::report(const mlff::EdgeList &edges)
{
  if (reported_) return;
  const double bytes_in_slices = engine_->bytes_per_center_in_slices() * edges.num_centers;
  const mlff::MemoryNeed need = mlff::memory_need(
      {engine_->peak_bytes() + bytes_of_edges(), bytes_in_slices > 0.0 ? bytes_in_slices + bytes_of_edges() : 0.0,
       engine_->free_bytes() / ranks_that_share_memory(), static_cast<double>(atom->nlocal)},
      world);
  const std::string ghosts = one_rank() ? "images mapped to their owners, no exchange"
      : has_wide_halo() ? "wide halo of " + std::to_string(halo_width()) + ", no exchange of rows" + exchange_path()
                        : "exchange of rows before each interaction but the first" + exchange_path();
  InputChecks(lmp).masses(element_of_type_, model_->elements, units_->mass);
  if (comm->me == 0)
    utils::logmesg(lmp, mlff::opening_report(*model_, *engine_, element_of_type_, ghosts, need, edges.num_centers));
  reported_ = true;
}

mlff::GhostExchange &PairMLFF::ghosts()
{
  static mlff::NoExchange no_exchange;
  return one_rank() || has_wide_halo() ? static_cast<mlff::GhostExchange &>(no_exchange) : *exchange_;
}

mlff::Result PairMLFF::evaluate(const mlff::EdgeList &edges, const mlff::Request &request)
{
  engine_->reset_times();
  const mlff::Result result = engine_->compute(edges, request, ghosts());
  times_->network += engine_->times().network;
  times_->exchange += engine_->times().exchange;
  if (const std::string notice = engine_->take_notice(); !notice.empty()) error->warning(FLERR, notice);
  return result;
}

void PairMLFF::scatter_forces(const mlff::EdgeList &edges, const mlff::Result &result)
{
  const int width = vflag_atom || cvflag_atom ? mlff::FORCE_AND_VIRIAL_WIDTH : mlff::FORCE_WIDTH;
  double total_virial[6] = {};
  share_forces(edges, result.gradient, width, vflag_global ? total_virial : nullptr);
  for (int k = 0; k < 6; ++k) virial[k] += total_virial[k] * tally_units_->energy;
  add_shares(edges, width);
}

/* ---------------------------------------------------------------------- */

void PairMLFF::finish()
{
  stop_where_not_finite();
  if (!timer->has_normal()) return;
  const mlff::StepTimes mean = mlff::mean_over_ranks(*times_, world),
                        largest = mlff::largest_over_ranks(*times_, world);
  times_->warm_up = 0.0;
  if (comm->me == 0) utils::logmesg(lmp, mlff::closing_report(mean, largest) + check_->take_summary());
}

// fix adapt multiplies the energy. It is that of the whole student, which has no energies of pairs.
double PairMLFF::scale() const
{
  const double *first = nullptr;
  for (int i = 1; i <= atom->ntypes; ++i)
    for (int j = i; j <= atom->ntypes; ++j) {
      if (map[i] < 0 || map[j] < 0) continue;
      if (!first) first = &scale_[i][j];
      if (scale_[i][j] != *first)
        throw mlff::Error("pair_style mlff: expected one 'scale' for all types, found " + std::to_string(*first) +
                          " and " + std::to_string(scale_[i][j]) + ". Use 'pair mlff scale * *' in fix adapt.");
    }
  return first ? *first : 1.0;
}

void PairMLFF::stop_where_not_finite()
{
  const NotFinite found = not_finite();
  if (found.id == 0) return;
  forget_not_finite();
  error->one(FLERR,
             "pair_style mlff: expected finite energies and forces, found others for the atom of ID " +
                 std::to_string(found.id) + " at step " + std::to_string(found.step) +
                 ". Look at the last positions: atoms on top of one another, or a time step that is too long. With "
                 "'precision fp16', try 'bf16' or 'fp32'.");
}

// A trial of Monte Carlo that puts atoms on top of one another: a number that is none would spoil averages.
void PairMLFF::refuse_where_not_finite()
{
  if (not_finite().id == 0) return;
  forget_not_finite();
  eng_vdwl = HUGE_VAL;
}

void *PairMLFF::extract(const char *name, int &dim)
{
  dim = 0;
  if (strcmp(name, "force_error_flag") == 0) return exact_engine_ ? &force_error_wanted_ : nullptr;
  dim = 2;
  return strcmp(name, "scale") == 0 ? scale_ : nullptr;
}

double PairMLFF::memory_usage()
{
  double bytes = Pair::memory_usage() + shares_.capacity() * sizeof(double);
  if (engine_) bytes += bytes_of_edges();
  return bytes;
}

/* ---------------------------------------------------------------------- */

int PairMLFF::pack_forward_comm(int n, int *atoms, double *buffer, int /*pbc_flag*/, int * /*pbc*/)
{
  return exchange_->pack_forward(n, atoms, buffer);
}

void PairMLFF::unpack_forward_comm(int n, int first, double *buffer)
{
  exchange_->unpack_forward(n, first, buffer);
}

int PairMLFF::pack_reverse_comm(int n, int first, double *buffer)
{
  return exchange_->pack_reverse(n, first, buffer);
}

void PairMLFF::unpack_reverse_comm(int n, int *atoms, double *buffer)
{
  exchange_->unpack_reverse(n, atoms, buffer);
}
