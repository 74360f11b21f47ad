// An engine evaluates a student on a graph. It knows no LAMMPS, no MPI, no positions, no box, no units but eV and Å.
#pragma once

#include "edge_list.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mlff {

class ModelFile;

// What the caller needs; nothing else is computed. No forces: no backward pass.
struct Request {
  bool forces = true;
};

// What an engine gives ("edge form"). Arrays belong to the engine and stay valid until its next call.
struct Result {
  double energy = 0.0;                    // eV, sum over owned centers
  const double *atom_energy = nullptr;    // [num_centers]  eV
  const double *gradient = nullptr;       // [num_edges][3] g = dE/dr_ij in eV/Å; null without Request::forces.
                                          // Forces: F_i += g, F_j -= g. Virial of an edge: -r_ij (x) g.
};

// One row of features per node, for an exchange between ranks. The rows are scratch of the engine.
struct Rows {
  enum class Type : std::uint8_t { FLOAT32, FLOAT64 };
  void *data = nullptr;    // [num_nodes][width]
  Type type = Type::FLOAT64;
  int width = 0;    // values a node

  std::size_t bytes_per_row() const { return width * (type == Type::FLOAT32 ? sizeof(float) : sizeof(double)); }
};

// Rows between the owner of an atom and the ghosts that stand for it on other ranks (or across the box).
// forward: owner -> ghost, copies.   reverse: ghost -> owner, adds; ghost rows are zero afterwards.
// Both are collective: every rank calls them, in the same order, also with no atoms.
class GhostExchange {
 public:
  virtual ~GhostExchange() = default;
  virtual void forward(const Rows &rows) = 0;
  virtual void reverse(const Rows &rows) = 0;
};

// For graphs without ghosts (one rank: images are mapped to owners), and for warm-up.
class NoExchange : public GhostExchange {
 public:
  void forward(const Rows &) override {}
  void reverse(const Rows &) override {}
};

enum class Precision : std::uint8_t { FP64, FP32 };
enum class Jit : std::uint8_t { OFF, SCRIPT, FREEZE };

struct EngineSettings {
  Precision precision = Precision::FP32;    // of the network; edge vectors, energies and sums are double in every mode
  Jit jit = Jit::FREEZE;
  int num_threads = 1;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // One evaluation. Collective through `ghosts`. Throws Error, also for a failure inside the library that runs
  // the network.
  virtual Result compute(const EdgeList &edges, const Request &request, GhostExchange &ghosts) = 0;

  // Evaluates `edges` until later calls take their final time (just-in-time compilation, allocation): at least four
  // calls of each kind of request. Not collective.
  virtual void warm_up(const EdgeList &edges) = 0;

  // Most memory that one evaluation of warm_up's graph held at a time, in bytes, besides the student itself.
  virtual std::size_t peak_bytes() const = 0;

  // Largest number of bytes a row of an exchange has.
  virtual std::size_t max_bytes_per_row() const = 0;

  // "LibTorch 2.11.0, fp32, jit freeze, cpu, 2 threads"
  virtual std::string description() const = 0;

  // Seconds spent in the network and in exchanges since the last call of reset_times.
  struct Times {
    double network = 0.0;
    double exchange = 0.0;
  };
  virtual Times times() const = 0;
  virtual void reset_times() = 0;
};

// The engine for `engine torch`. Without LibTorch in the build it throws a sentence that says so.
std::unique_ptr<Engine> make_engine_torch(const ModelFile &model, const EngineSettings &settings);

}    // namespace mlff
