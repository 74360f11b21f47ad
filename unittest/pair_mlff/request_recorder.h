// A pair style for tests that writes one line to requests.<rank> for each evaluation: whether forces were asked of its
// engine (1) or energies alone (0), and the energy of this rank's atoms in LAMMPS's unit.
#pragma once

#include "engine.h"

#include "comm.h"

#include <cstdio>
#include <memory>
#include <string>

class RecordingEngine : public mlff::Engine {
 public:
  RecordingEngine(std::unique_ptr<mlff::Engine> recorded, bool &forces) :
      recorded_(std::move(recorded)), forces_(forces)
  {
  }

  mlff::Result compute(const mlff::EdgeList &edges, const mlff::Request &request, mlff::GhostExchange &ghosts) override
  {
    forces_ = request.forces;
    return recorded_->compute(edges, request, ghosts);
  }
  void warm_up(const mlff::EdgeList &edges) override { recorded_->warm_up(edges); }
  std::size_t peak_bytes() const override { return recorded_->peak_bytes(); }
  double free_bytes() const override { return recorded_->free_bytes(); }
  std::size_t max_bytes_per_row() const override { return recorded_->max_bytes_per_row(); }
  std::string description() const override { return recorded_->description(); }
  Times times() const override { return recorded_->times(); }
  void reset_times() override { recorded_->reset_times(); }

 private:
  std::unique_ptr<mlff::Engine> recorded_;
  bool &forces_;
};

template <class Style> class WithRequestRecorder : public Style {
 public:
  using Style::Style;

  void compute(int eflag, int vflag) override
  {
    Style::compute(eflag, vflag);
    FILE *file = std::fopen(("requests." + std::to_string(this->comm->me)).c_str(), "a");
    std::fprintf(file, "%d %.17g\n", forces_, this->eng_vdwl);
    std::fclose(file);
  }

 protected:
  std::unique_ptr<mlff::Engine> make_engine(const mlff::ModelFile &model, const mlff::EngineSettings &settings) override
  {
    return std::make_unique<RecordingEngine>(Style::make_engine(model, settings), forces_);
  }

 private:
  bool forces_ = false;    // of the last evaluation
};
