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
class ModelFile;
struct Device;
struct EdgeList;
struct EngineSettings;
struct Keywords;
struct Request;
struct Result;
struct StepTimes;
struct Units;
}    // namespace mlff

namespace LAMMPS_NS {

class EdgeBuilder;
class RowExchange;

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
  double memory_usage() override;

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
  virtual void scatter_forces(const mlff::EdgeList &edges, const mlff::Result &result);
  virtual void finish_tally() {}
  virtual double bytes_of_edges() const;
  virtual int ranks_that_share_memory() const;

  bool one_rank() const;

  std::unique_ptr<mlff::ModelFile> model_;
  std::unique_ptr<RowExchange> exchange_;
  std::unique_ptr<mlff::Units> units_;
  std::vector<int> element_of_type_;    // [ntypes + 1], -1: NULL

 private:
  void allocate();
  void map_elements();
  void check_special_bonds() const;
  void check_neighbor_settings() const;

  void refresh_rows();
  std::vector<int> owners_of_ghosts();
  void warm_up(const mlff::EdgeList &edges);
  void report();
  mlff::Result evaluate(const mlff::EdgeList &edges, const mlff::Request &request);

  std::unique_ptr<mlff::Keywords> keywords_;
  std::unique_ptr<mlff::Engine> engine_;
  std::unique_ptr<EdgeBuilder> edge_builder_;
  std::unique_ptr<mlff::StepTimes> times_;
  std::vector<double> shares_;    // [num_nodes][3 or 12] of forces and virials, see scatter.h
  bool reported_ = false, warm_ = false;
  double warm_up_seconds_ = 0.0;    // of the next run's closing report

  // when the rows of the edge builder were made
  bigint rows_step_ = -1;
  int rows_nlocal_ = -1, rows_nghost_ = -1;
  const class NeighList *rows_list_ = nullptr;
};

}    // namespace LAMMPS_NS

#endif
