// A pair style for tests that writes one line to requests.<rank> for each evaluation: whether forces were asked of its
// engine (1) or energies alone (0), and the energy of this rank's atoms in LAMMPS's unit.
#pragma once

#include "forwarding_engine.h"

#include "comm.h"

#include <cstdio>
#include <memory>
#include <string>

class RecordingEngine : public ForwardingEngine {
 public:
  RecordingEngine(std::unique_ptr<mlff::Engine> recorded, bool &forces) :
      ForwardingEngine(std::move(recorded)), forces_(forces)
  {
  }

  mlff::Result compute(const mlff::EdgeList &edges, const mlff::Request &request, mlff::GhostExchange &ghosts) override
  {
    forces_ = request.forces;
    return ForwardingEngine::compute(edges, request, ghosts);
  }

 private:
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
