/* -*- c++ -*- ----------------------------------------------------------
   pair_style mlff: distilled neural-network potentials (students).
   Manual: doc/pair_mlff.rst. How the parts fit: doc/ARCHITECTURE.md.
------------------------------------------------------------------------- */

#ifndef LMP_PAIR_MLFF_H
#define LMP_PAIR_MLFF_H

#include "pair.h"

#include <memory>
#include <string>
#include <vector>

namespace mlff {
class Engine;
class GhostExchange;
class ModelFile;
class SelfCheck;
struct Device;
struct EdgeList;
struct EngineSettings;
struct Evaluated;
struct Keywords;
struct Request;
struct Result;
struct StepTimes;
struct Units;
}    // namespace mlff

namespace LAMMPS_NS {

class EdgeBuilder;
class RowExchange;
class WideHalo;

class PairMLFF : public Pair {
 public:
  explicit PairMLFF(class LAMMPS *);
  ~PairMLFF() override;

  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  void setup() override;
  void compute(int, int) override;
  void finish() override;
  void *extract(const char *, int &) override;
  void *extract_peratom(const char *, int &) override;
  double memory_usage() override;

  // An atom whose energy or force is no finite number, and in which step; id 0: none.
  struct NotFinite {
    tagint id = 0;
    bigint step = 0;
  };

  int pack_forward_comm(int, int *, double *, int, int *) override;
  void unpack_forward_comm(int, int, double *) override;
  int pack_reverse_comm(int, int, double *) override;
  void unpack_reverse_comm(int, int *, double *) override;

 protected:
  // Tests replace the engine by one that shows what it receives.
  virtual std::unique_ptr<mlff::Engine> make_engine(const mlff::ModelFile &, const mlff::EngineSettings &);

  // The parts of a step that depend on where the atoms lie; mlff/kk has its own.
  virtual mlff::Device device() const;
  virtual void make_edge_builder();
  virtual void start_tally(int eflag, int vflag);
  virtual void rebuild_rows();
  virtual mlff::EdgeList build_edges();
  virtual void tally_energy(const mlff::EdgeList &edges, const mlff::Result &result);
  // Shares of force and, with a width of 12, of virial of all nodes; afterwards those of ghosts have gone home to their
  // owners. Adds to total_virial [6], if given.
  virtual void share_forces(const mlff::EdgeList &edges, const double *gradient, int width, double *total_virial);
  // Adds the shares of owned centers to LAMMPS's arrays.
  virtual void add_shares(const mlff::EdgeList &edges, int width);
  // On a device it may be known only in a later step.
  virtual NotFinite not_finite() const { return not_finite_; }
  virtual void forget_not_finite() { not_finite_ = {}; }
  // Of values where the engine computes.
  virtual std::vector<double> on_host(const double *values, std::size_t size) const;
  virtual const double *shares() const;
  virtual std::vector<int> atoms_of_owned_centers(int num_owned_centers) const;
  virtual void finish_tally() {}
  virtual double bytes_of_edges() const;
  virtual int ranks_that_share_memory() const;
  // Which way rows take between ranks, for the log; empty: there is but one.
  virtual std::string exchange_path() const { return ""; }

  bool one_rank() const;
  // Ghosts that at most so many neighbors in a chain separate from an owned atom are centers; 0 without a wide halo.
  int halo() const;

  std::unique_ptr<mlff::ModelFile> model_;
  std::unique_ptr<RowExchange> exchange_;
  std::unique_ptr<mlff::Units> units_;
  std::unique_ptr<mlff::Units> tally_units_;    // units_ with 'scale' in the energy
  std::vector<int> element_of_type_;            // [ntypes + 1], -1: NULL

 private:
  void allocate();
  void make_engines();
  void map_elements();
  void widen_buffers();
  bool has_wide_halo() const;
  double halo_width() const;

  void refresh_rows();
  std::vector<int> owners_of_ghosts();
  void warm_up(const mlff::EdgeList &edges);
  void report(const mlff::EdgeList &edges);
  void check(const mlff::EdgeList &edges, const mlff::Result &result);
  void show_check(const mlff::Evaluated &found, const mlff::Evaluated &exact);
  mlff::Evaluated evaluated(const mlff::EdgeList &edges, const mlff::Result &result);
  mlff::GhostExchange &ghosts();
  void scatter_forces(const mlff::EdgeList &edges, const mlff::Result &result);
  void stop_where_not_finite();
  void refuse_where_not_finite();
  double scale() const;
  mlff::Result evaluate(const mlff::EdgeList &edges, const mlff::Request &request);

  std::unique_ptr<mlff::Keywords> keywords_;
  std::unique_ptr<mlff::Engine> engine_;
  std::unique_ptr<mlff::SelfCheck> check_;
  std::unique_ptr<mlff::Engine> exact_engine_;    // of the check; null with 'check off'
  std::unique_ptr<EdgeBuilder> edge_builder_;
  std::unique_ptr<WideHalo> wide_halo_;
  std::unique_ptr<mlff::StepTimes> times_;
  std::vector<double> shares_;    // [num_nodes][3 or 12] of forces and virials, see scatter.h
  bool reported_ = false, warm_ = false, checked_ = false;

  double **scale_ = nullptr;    // [ntypes + 1][ntypes + 1], for fix adapt; one value in all
  NotFinite not_finite_;
  std::vector<double> force_error_;    // [nlocal] |dF| from fp64 in the last check, in LAMMPS's units; for fix pair
  int force_error_wanted_ = 0;         // fix pair sets it for a step

  // when the rows of the edge builder were made
  bigint rows_step_ = -1;
  int rows_nlocal_ = -1, rows_nghost_ = -1;
  const class NeighList *rows_list_ = nullptr;
};

}    // namespace LAMMPS_NS

#endif
