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

// What an engine gives ("edge form"). Arrays belong to the engine, lie on its device and stay valid until its next call.
struct Result {
  const double *atom_energy = nullptr;    // [num_centers]  eV; those of owned centers are this rank's energy
  const double *gradient = nullptr;       // [num_edges][3] g = dE/dr_ij in eV/Å; null without Request::forces.
                                          // Forces: F_i += g, F_j -= g. Virial of an edge: -r_ij (x) g.
};

// One row of features per node, for an exchange between ranks. The rows are scratch of the engine, on its device.
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

// Of the network's linear products and gathered rows. Edge vectors, energies and sums of forces are double in every
// mode; the geometry and residual sums are double in FP64, else float. TF32: float weights, rounded in the products.
enum class Precision : std::uint8_t { FP64, FP32, TF32, BF16, FP16 };
enum class Jit : std::uint8_t { OFF, SCRIPT, FREEZE, AOT };

// As in the input script.
const char *name_of(Precision precision);
const char *name_of(Jit jit);

// Where an engine runs. A GPU's work goes to `stream` (a cudaStream_t), in order with the caller's own.
struct Device {
  int gpu = -1;    // CUDA device, -1: the CPU
  void *stream = nullptr;
};

struct EngineSettings {
  Precision precision = Precision::FP32;
  Jit jit = Jit::FREEZE;
  int num_threads = 1;    // on the CPU
  Device device = {};
  int chunk = 0;    // most centers that are evaluated at once; 0: as many as memory allows
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

  // Bytes that the engine's device could still give to evaluations; 0: unknown.
  virtual double free_bytes() const = 0;

  // The share of free_bytes that evaluations may take, said before warm_up; 0: unknown. An engine that evaluates large
  // graphs in slices plans by it.
  virtual void limit_memory(double /*bytes*/) {}

  // Most centers that compute() evaluates at once; 0: all, whatever their number.
  virtual int most_centers_at_once() const { return 0; }

  // Memory for each center of a graph that is evaluated in slices, however small they are; 0: this engine has none.
  virtual double bytes_per_center_in_slices() const { return 0.0; }

  // What the user should know of the calls since the last one of this function; empty: nothing.
  virtual std::string take_notice() { return {}; }

  // Whether compute() is collective through the GhostExchange. If not, it never calls it, and with several ranks the
  // graph must have a wide halo: every node that T - 1 edges or fewer lead to from an owned center is a center too.
  virtual bool exchanges_rows() const { return true; }

  // Largest number of bytes a row of an exchange has; 0 where there are no exchanges.
  virtual std::size_t max_bytes_per_row() const = 0;

  // "LibTorch 2.11.0, precision fp32, jit freeze, CPU, 2 threads"
  virtual std::string description() const = 0;

  // Seconds spent in the network and in exchanges since the last call of reset_times; on a GPU those of the calls, which
  // do not wait for it.
  struct Times {
    double network = 0.0;
    double exchange = 0.0;
  };
  virtual Times times() const = 0;
  virtual void reset_times() = 0;
};

// The engine that runs a file's own program. Without LibTorch in the build it throws a sentence that says so.
std::unique_ptr<Engine> make_engine_torch(const ModelFile &model, const EngineSettings &settings);

// The engine for `jit aot`, which runs a compiled student (doc/model_format.md). It exchanges no rows.
// `package_path` is read on each rank, and must be of this student and fit these settings and this machine.
std::unique_ptr<Engine> make_engine_aot(const ModelFile &model, const std::string &package_path,
                                        const EngineSettings &settings);

// The engine for a student of kind `custom`, which runs the file's module over the whole graph. It exchanges no rows.
std::unique_ptr<Engine> make_engine_custom(const ModelFile &model, const EngineSettings &settings);

// The engine for `engine torch`, by the kind of the file and the settings.
std::unique_ptr<Engine> make_engine(const ModelFile &model, const EngineSettings &settings);

// What the engine of such a run is compared with: the same student in double precision through the interpreter, in slices
// of at most `chunk` centers where the student can be sliced.
std::unique_ptr<Engine> make_exact_engine(const ModelFile &model, const EngineSettings &settings, int chunk);

// Where 'mlff export NAME.pt --aot' writes the compiled student: NAME.<device>-<precision>.pt2.
std::string aot_package_path(const std::string &student_path, const EngineSettings &settings);

}    // namespace mlff
