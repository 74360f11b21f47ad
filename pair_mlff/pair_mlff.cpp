/* ----------------------------------------------------------------------
   pair_style mlff: distilled neural-network potentials (students).

   One step: LAMMPS's full neighbor list -> edges -> engine -> gradients on edges -> forces and virials.
------------------------------------------------------------------------- */

#include "pair_mlff.h"

#include "edge_builder.h"
#include "engine.h"
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
#include "units.h"
#include "wide_halo.h"

#include "atom.h"
#include "citeme.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neigh_request.h"
#include "neighbor.h"
#include "platform.h"
#include "timer.h"
#include "update.h"
#include "utils.h"

#include <algorithm>
#include <numeric>
#include <utility>

using namespace LAMMPS_NS;

// Messages are whole strings: LAMMPS's functions that format take arguments of {fmt} or of std::format, whichever its
// compiler had, and a plugin compiled by another would look for the wrong ones.

namespace {

// Adds the seconds of a scope to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double &sum) : sum_(sum), start_(platform::walltime()) {}
  Stopwatch(const Stopwatch &) = delete;
  Stopwatch &operator=(const Stopwatch &) = delete;
  ~Stopwatch() { sum_ += platform::walltime() - start_; }

 private:
  double &sum_, start_;
};

template <typename Work> auto timed(double &sum, const Work &work)
{
  const Stopwatch watch(sum);
  return work();
}

}    // namespace

/* ---------------------------------------------------------------------- */

PairMLFF::PairMLFF(LAMMPS *lmp) :
    Pair(lmp), exchange_(std::make_unique<RowExchange>(lmp, this)), keywords_(std::make_unique<mlff::Keywords>()),
    wide_halo_(std::make_unique<WideHalo>(lmp)), times_(std::make_unique<mlff::StepTimes>())
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  reinitflag = 0;
  respa_enable = 0;
  writedata = 0;
  no_virial_fdotr_compute = 1;    // whole forces are put on owners, so f.r over ghosts would be wrong
  centroidstressflag = CENTROID_AVAIL;
  if (lmp->citeme) lmp->citeme->add(mlff::own_citation());
}

PairMLFF::~PairMLFF()
{
  if (copymode) return;
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
  }
}

/* ---------------------------------------------------------------------- */

void PairMLFF::settings(int narg, char **arg)
{
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
  map = new int[n];
  for (int i = 1; i < n; ++i)
    for (int j = i; j < n; ++j) setflag[i][j] = 0;
  allocated = 1;
}

// A library may refuse on one rank alone, so all ask one another.
void PairMLFF::make_engines()
{
  std::string failure;
  try {
    mlff::EngineSettings settings{keywords_->precision, keywords_->jit, comm->nthreads, device(), keywords_->chunk};
    engine_ = make_engine(*model_, settings);
    settings.precision = mlff::Precision::FP64;
    settings.jit = mlff::Jit::OFF;
    settings.chunk = mlff::SelfCheck::SLICE;
    exact_engine_.reset();
    if (keywords_->check.when != mlff::Check::When::OFF) exact_engine_ = mlff::make_engine_torch(*model_, settings);
    check_ = std::make_unique<mlff::SelfCheck>(keywords_->check, keywords_->precision);
  } catch (const mlff::Error &e) {
    failure = e.what();
  }
  mlff::throw_together(failure, world);
}

std::unique_ptr<mlff::Engine> PairMLFF::make_engine(const mlff::ModelFile &model, const mlff::EngineSettings &settings)
{
  if (settings.jit == mlff::Jit::AOT)
    return mlff::make_engine_aot(model, mlff::aot_package_path(model.path, settings), settings);
  return mlff::make_engine_torch(model, settings);
}

mlff::Device PairMLFF::device() const
{
  return {};
}

void PairMLFF::make_edge_builder()
{
  edge_builder_ = std::make_unique<EdgeBuilder>(lmp, element_of_type_, model_->cutoff, 1.0 / units_->length);
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
  if (!atom->tag_enable) error->all(FLERR, "pair_style mlff: expected atoms with IDs, found 'atom_modify id no'.");
  if (domain->dimension == 2)
    error->all(FLERR, "pair_style mlff: expected 'dimension 3', found 'dimension 2'. Students know no flat world.");
  check_special_bonds();
  check_neighbor_settings();

  if (has_wide_halo())
    wide_halo_->widen(halo_width());
  else
    wide_halo_->restore();
  neighbor->add_request(this, NeighConst::REQ_FULL | (halo() > 0 ? NeighConst::REQ_GHOST : 0));

  // LAMMPS sizes its buffers by these and never checks them. hybrid styles copied ours before the file was read.
  std::size_t row_bytes = engine_->max_bytes_per_row();
  if (exact_engine_) row_bytes = std::max(row_bytes, exact_engine_->max_bytes_per_row());
  const int row = one_rank() || has_wide_halo() ? 1 : RowExchange::doubles_for(row_bytes);
  comm_forward = row;
  comm_reverse = comm_reverse_off = std::max(row, mlff::FORCE_AND_VIRIAL_WIDTH);
  force->pair->comm_forward = std::max(force->pair->comm_forward, comm_forward);
  force->pair->comm_reverse = std::max(force->pair->comm_reverse, comm_reverse);
  force->pair->comm_reverse_off = std::max(force->pair->comm_reverse_off, comm_reverse_off);
}

// With bonds present, special neighbors of weight zero are taken out of the list: O-H pairs would vanish unseen.
void PairMLFF::check_special_bonds() const
{
  if (atom->molecular == Atom::ATOMIC) return;
  const bool present[4] = {false, atom->nbonds > 0, atom->nangles > 0, atom->ndihedrals > 0};
  for (int k = 1; k <= 3; ++k)
    if (present[k] && force->special_lj[k] == 0.0 && force->special_coul[k] == 0.0 && !force->kspace)
      error->all(FLERR,
                 "pair_style mlff: expected every neighbor within the cutoff in the list, found 'special_bonds' that "
                 "remove 1-" +
                     std::to_string(k + 1) + " neighbors. Use 'special_bonds lj/coul 1 1 1'.");
}

void PairMLFF::check_neighbor_settings() const
{
  if (neighbor->includegroup)
    error->all(FLERR,
               "pair_style mlff: expected neighbors of all atoms, found 'neigh_modify include', which would leave "
               "atoms outside the group without features. Remove it.");
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
  *times_ = mlff::StepTimes();
}

void PairMLFF::compute(int eflag, int vflag)
{
  start_tally(eflag, vflag);
  try {
    refresh_rows();
    const mlff::EdgeList edges = timed(times_->edges, [&] { return build_edges(); });
    warm_up(edges);
    report(edges);
    const long forward = exchange_->num_forward(), reverse = exchange_->num_reverse();
    // the same on every rank, since what follows is collective; a rank without edges has no gradient to look at
    const mlff::Request request{!energy_only(*this)};
    const mlff::Result result = evaluate(edges, request);
    tally_energy(edges, result);
    if (request.forces) timed(times_->scatter, [&] { scatter_forces(edges, result); });
    times_->forward += exchange_->num_forward() - forward;
    times_->reverse += exchange_->num_reverse() - reverse;
    if (request.forces) check(edges, result);
  } catch (const mlff::Error &e) {
    error->one(FLERR, e.what());
  }
  finish_tally();
  ++times_->calls;
}

void PairMLFF::start_tally(int eflag, int vflag)
{
  ev_init(eflag, vflag);
}

// LAMMPS rebuilds its list now and then; rows are copied and sorted only then.
void PairMLFF::refresh_rows()
{
  const Stopwatch watch(times_->edges);
  const bool rebuilt = neighbor->ago == 0 || neighbor->lastcall != rows_step_ || list != rows_list_ ||
      atom->nlocal != rows_nlocal_ || atom->nghost != rows_nghost_;
  if (!rebuilt) return;
  rebuild_rows();
  rows_step_ = neighbor->lastcall;
  rows_list_ = list;
  rows_nlocal_ = atom->nlocal;
  rows_nghost_ = atom->nghost;
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

void PairMLFF::warm_up(const mlff::EdgeList &edges)
{
  if (warm_) return;
  const Stopwatch watch(warm_up_seconds_);
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
  if (comm->me == 0)
    utils::logmesg(lmp, mlff::opening_report(*model_, *engine_, element_of_type_, ghosts, need, edges.num_centers));
  reported_ = true;
}

// After forces and virials were added up: it uses the same scratch.
void PairMLFF::check(const mlff::EdgeList &edges, const mlff::Result &result)
{
  if (!exact_engine_) return;
  const bool at_setup = !std::exchange(checked_, true);
  const double atoms = at_setup ? most_atoms() : 0.0;
  if (check_->is_due(at_setup, update->ntimestep, atoms)) {
    const mlff::Evaluated found = evaluated(edges, result);
    check_->compare(found, evaluated(edges, exact_engine_->compute(edges, {}, ghosts())), world);
  }
  if (!at_setup) return;
  if (comm->me == 0) utils::logmesg(lmp, mlff::check_report(*check_));
  if (keywords_->check.when != mlff::Check::When::EVERY) exact_engine_.reset();
}

mlff::Evaluated PairMLFF::evaluated(const mlff::EdgeList &edges, const mlff::Result &result)
{
  mlff::Evaluated values;
  const std::vector<double> energies = on_host(result.atom_energy, edges.num_owned_centers);
  values.energy = std::accumulate(energies.begin(), energies.end(), 0.0);
  share_forces(edges, result.gradient, mlff::FORCE_WIDTH, values.virial);
  values.force = on_host(shares(), 3UL * edges.num_owned_centers);
  return values;
}

double PairMLFF::most_atoms() const
{
  double mine = atom->nlocal, most = 0.0;
  MPI_Allreduce(&mine, &most, 1, MPI_DOUBLE, MPI_MAX, world);
  return most;
}

double PairMLFF::bytes_of_edges() const
{
  return edge_builder_->memory_usage();
}

int PairMLFF::ranks_that_share_memory() const
{
  return mlff::ranks_on_this_node(world);
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

void PairMLFF::tally_energy(const mlff::EdgeList &edges, const mlff::Result &result)
{
  for (int c = 0; c < edges.num_owned_centers; ++c) {
    const double energy = result.atom_energy[c] * units_->energy;
    if (eflag_global) eng_vdwl += energy;
    if (eflag_atom) eatom[edge_builder_->atom_of_center()[c]] += energy;
  }
}

void PairMLFF::scatter_forces(const mlff::EdgeList &edges, const mlff::Result &result)
{
  const int width = vflag_atom || cvflag_atom ? mlff::FORCE_AND_VIRIAL_WIDTH : mlff::FORCE_WIDTH;
  double total_virial[6] = {};
  share_forces(edges, result.gradient, width, vflag_global ? total_virial : nullptr);
  for (int k = 0; k < 6; ++k) virial[k] += total_virial[k] * units_->energy;
  add_shares(edges, width);
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
    for (int a = 0; a < 3; ++a) atom->f[i][a] += share[a] * units_->force();
    if (vflag_atom)
      for (int k = 0; k < 6; ++k) vatom[i][k] += share[3 + k] * units_->energy;
    if (cvflag_atom)
      for (int k = 0; k < 9; ++k) cvatom[i][k] += share[3 + k] * units_->energy;
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

/* ---------------------------------------------------------------------- */

void PairMLFF::finish()
{
  if (!timer->has_normal()) return;
  double mine[] = {times_->edges, times_->network, times_->exchange, times_->scatter, warm_up_seconds_};
  double sum[5], largest[5];
  MPI_Reduce(mine, sum, 5, MPI_DOUBLE, MPI_SUM, 0, world);
  MPI_Reduce(mine, largest, 5, MPI_DOUBLE, MPI_MAX, 0, world);
  warm_up_seconds_ = 0.0;
  if (comm->me != 0) return;
  const double n = comm->nprocs;
  utils::logmesg(lmp,
                 mlff::closing_report({sum[0] / n, sum[1] / n, sum[2] / n, sum[3] / n, sum[4] / n, times_->calls,
                                       times_->forward, times_->reverse},
                                      {largest[0], largest[1], largest[2], largest[3], largest[4]}) +
                     check_->take_summary());
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
