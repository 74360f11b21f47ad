// What every engine must do, written once. A test program defines the factory, includes nothing else, and says which
// settings it has:
//
//   #include "engine_tests.h"
//   std::unique_ptr<mlff::Engine> make(const mlff::ModelFile &model, const mlff::EngineSettings &settings) { ... }
//   INSTANTIATE_TEST_SUITE_P(Mine, ReferenceTest, testing::Combine(STUDENTS, testing::Values(...)), case_name);
//
// and the same with
//   ReferenceTest   every setting: energies and gradients are the stored ones
//   DerivativeTest  those in double precision: gradients are differences of energies
//   EngineTest      one setting for each of the engine's own paths: all that must hold besides
//   ExchangeTest    the same, where the engine exchanges rows between ranks
//
// Each test runs for both reference students (T = 2 and T = 3). The stored energies and gradients come from the Python
// student in double precision (unittest/reference/make_reference.py).
#pragma once

#include "engine.h"
#include "folders.h"
#include "mlff_error.h"
#include "model_file.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cmath>
#include <fstream>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>
#include <tuple>

// Defined by the test program.
std::unique_ptr<mlff::Engine> make(const mlff::ModelFile &model, const mlff::EngineSettings &settings);

namespace mlff {

// ---------------------------------------------------------------- graphs

using Vector = std::array<double, 3>;

// An EdgeList that owns its memory, and what the Python student computes on it.
struct Graph {
  std::string name;
  int num_owned_centers = 0;
  std::vector<int> element, first_edge{0}, neighbor;
  std::vector<Vector> rij;
  std::vector<double> atom_energy;
  std::vector<Vector> gradient;

  int num_centers() const { return static_cast<int>(first_edge.size()) - 1; }
  int num_nodes() const { return static_cast<int>(element.size()); }
  int num_edges() const { return static_cast<int>(neighbor.size()); }

  EdgeList view() const
  {
    return {num_owned_centers, num_centers(),     num_nodes(),     num_edges(),
            element.data(),    first_edge.data(), neighbor.data(), num_edges() ? rij[0].data() : nullptr};
  }

  void add_edge(int j, const Vector &r)
  {
    neighbor.push_back(j);
    rij.push_back(r);
  }
  void end_row() { first_edge.push_back(num_edges()); }

  std::vector<int> centers_of_edges() const
  {
    std::vector<int> center(neighbor.size());
    for (int i = 0; i < num_centers(); ++i)
      std::fill(center.begin() + first_edge[i], center.begin() + first_edge[i + 1], i);
    return center;
  }
};

// Atoms that see nobody.
inline Graph lone_atoms(std::vector<int> element)
{
  Graph graph;
  graph.num_owned_centers = static_cast<int>(element.size());
  graph.first_edge.assign(element.size() + 1, 0);
  graph.element = std::move(element);
  return graph;
}

// Isolated atoms as a graph: all pairs within the cutoff.
inline Graph graph_of(const std::vector<int> &element, const std::vector<Vector> &x, double cutoff)
{
  Graph graph;
  graph.element = element;
  graph.num_owned_centers = graph.num_nodes();
  for (int i = 0; i < graph.num_nodes(); ++i) {
    for (int j = 0; j < graph.num_nodes(); ++j) {
      const Vector r{x[j][0] - x[i][0], x[j][1] - x[i][1], x[j][2] - x[i][2]};
      if (i != j && std::hypot(r[0], r[1], r[2]) < cutoff) graph.add_edge(j, r);
    }
    graph.end_row();
  }
  return graph;
}

// As many copies of `graph` that do not see each other.
inline Graph copies_of(const Graph &graph, int count)
{
  Graph result;
  for (int copy = 0; copy < count; ++copy) {
    const int first = result.num_nodes();
    result.element.insert(result.element.end(), graph.element.begin(), graph.element.end());
    for (int i = 0; i < graph.num_centers(); ++i) {
      for (int e = graph.first_edge[i]; e < graph.first_edge[i + 1]; ++e)
        result.add_edge(first + graph.neighbor[e], graph.rij[e]);
      result.end_row();
    }
  }
  result.num_owned_centers = result.num_nodes();
  return result;
}

// Node `order[n]` of `graph` becomes node n, the edges of a row come in a random order.
// `edge_of[e]` is the old index of the new edge e.
inline Graph permuted(const Graph &graph, const std::vector<int> &order, std::mt19937 &random,
                      std::vector<int> &edge_of)
{
  std::vector<int> new_index(order.size());
  for (int n = 0; n < graph.num_nodes(); ++n) new_index[order[n]] = n;
  Graph result;
  result.num_owned_centers = graph.num_owned_centers;
  edge_of.clear();
  for (const int old : order) {
    result.element.push_back(graph.element[old]);
    std::vector<int> row(graph.first_edge[old + 1] - graph.first_edge[old]);
    std::iota(row.begin(), row.end(), graph.first_edge[old]);
    std::shuffle(row.begin(), row.end(), random);
    for (const int e : row) result.add_edge(new_index[graph.neighbor[e]], graph.rij[e]);
    result.end_row();
    edge_of.insert(edge_of.end(), row.begin(), row.end());
  }
  return result;
}

// How many edges lead from each node to the nearest of `from`; num_nodes: none do.
inline std::vector<int> edges_away(const Graph &graph, const std::vector<bool> &from)
{
  std::vector<int> distance(graph.num_nodes(), graph.num_nodes());
  for (int n = 0; n < graph.num_nodes(); ++n)
    if (from[n]) distance[n] = 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (int n = 0; n < graph.num_nodes(); ++n)
      for (int e = graph.first_edge[n]; e < graph.first_edge[n + 1]; ++e)
        if (distance[graph.neighbor[e]] + 1 < distance[n]) {
          distance[n] = distance[graph.neighbor[e]] + 1;
          changed = true;
        }
  }
  return distance;
}

// The part of a graph that a rank with the atoms `owned` has: ghosts up to `halo` edges away are centers, and those that
// they see are nodes. `node_of[n]` is the node of the whole graph.
inline Graph with_halo(const Graph &whole, const std::vector<bool> &owned, int halo, std::vector<int> &node_of)
{
  const std::vector<int> distance = edges_away(whole, owned);
  std::vector<int> here(whole.num_nodes(), -1);
  Graph part;
  node_of.clear();
  for (int away = 0; away <= halo + 1; ++away) {
    for (int n = 0; n < whole.num_nodes(); ++n)
      if (distance[n] == away) {
        here[n] = part.num_nodes();
        node_of.push_back(n);
        part.element.push_back(whole.element[n]);
      }
    if (away == 0) part.num_owned_centers = part.num_nodes();
  }
  for (const int n : node_of) {
    if (distance[n] > halo) break;
    for (int e = whole.first_edge[n]; e < whole.first_edge[n + 1]; ++e)
      part.add_edge(here[whole.neighbor[e]], whole.rij[e]);
    part.end_row();
  }
  return part;
}

// ---------------------------------------------------------------- exchanges

// Calls `action` with the rows as what they are.
template <class Action> void with_typed_rows(const Rows &rows, Action action)
{
  if (rows.type == Rows::Type::FLOAT64)
    action(static_cast<double *>(rows.data));
  else
    action(static_cast<float *>(rows.data));
}

// Ghosts on the same rank: node num_centers + g stands for node owner[g]. Counts its calls.
class LocalExchange : public GhostExchange {
 public:
  LocalExchange(int num_centers, std::vector<int> owner, std::size_t max_bytes) :
      num_centers_(num_centers), owner_(std::move(owner)), max_bytes_(max_bytes)
  {
  }

  void forward(const Rows &rows) override
  {
    ++num_forward;
    EXPECT_LE(rows.bytes_per_row(), max_bytes_);
    with_typed_rows(rows, [&](auto *data) {
      for (std::size_t g = 0; g < owner_.size(); ++g)
        std::copy_n(data + owner_[g] * rows.width, rows.width, data + (num_centers_ + g) * rows.width);
    });
  }

  void reverse(const Rows &rows) override
  {
    ++num_reverse;
    EXPECT_LE(rows.bytes_per_row(), max_bytes_);
    with_typed_rows(rows, [&](auto *data) {
      for (std::size_t g = 0; g < owner_.size(); ++g)
        for (int w = 0; w < rows.width; ++w) {
          auto &ghost = data[(num_centers_ + g) * rows.width + w];
          data[owner_[g] * rows.width + w] += ghost;
          ghost = 0;
        }
    });
  }

  int num_forward = 0, num_reverse = 0;

 private:
  int num_centers_;
  std::vector<int> owner_;
  std::size_t max_bytes_;
};

// Ranks are threads; ghosts are rows of another rank.
struct Meeting {
  explicit Meeting(int num_ranks) : barrier(num_ranks), rows(num_ranks) {}

  void wait()
  {
    barrier.arrive_and_wait();
    if (failed) throw std::runtime_error("another rank has failed");
  }
  // In place of the next wait: the others fail too, instead of waiting for ever.
  void leave()
  {
    failed = true;
    barrier.arrive_and_drop();
  }

  std::barrier<> barrier;
  std::atomic<bool> failed = false;
  std::vector<Rows> rows;
};

class ThreadExchange : public GhostExchange {
 public:
  struct Place {
    int rank, node;
  };

  // owner[g]: whose node this rank's ghost num_centers + g is
  ThreadExchange(Meeting &meeting, int rank, int num_centers, std::vector<Place> owner) :
      meeting_(meeting), rank_(rank), num_centers_(num_centers), owner_(std::move(owner))
  {
  }

  void forward(const Rows &rows) override
  {
    meet(rows);
    with_typed_rows(rows, [&](auto *data) {
      for (std::size_t g = 0; g < owner_.size(); ++g)
        std::copy_n(row_of_owner(data, g), rows.width, data + (num_centers_ + g) * rows.width);
    });
    meeting_.wait();
  }

  void reverse(const Rows &rows) override
  {
    meet(rows);
    for (int turn = 0; turn < static_cast<int>(meeting_.rows.size()); ++turn) {    // one writer at a time
      if (turn == rank_)
        with_typed_rows(rows, [&](auto *data) {
          for (std::size_t g = 0; g < owner_.size(); ++g)
            for (int w = 0; w < rows.width; ++w) {
              auto &ghost = data[(num_centers_ + g) * rows.width + w];
              row_of_owner(data, g)[w] += ghost;
              ghost = 0;
            }
        });
      meeting_.wait();
    }
  }

 private:
  void meet(const Rows &rows)
  {
    meeting_.rows[rank_] = rows;
    meeting_.wait();
  }

  template <class Value> Value *row_of_owner(Value *, std::size_t g) const
  {
    const Rows &rows = meeting_.rows[owner_[g].rank];
    return static_cast<Value *>(rows.data) + static_cast<std::ptrdiff_t>(owner_[g].node) * rows.width;
  }

  Meeting &meeting_;
  int rank_, num_centers_;
  std::vector<Place> owner_;
};

// ---------------------------------------------------------------- results

// A copy of what an engine gave.
struct Output {
  double energy = 0.0;
  std::vector<double> atom_energy;
  std::vector<Vector> gradient;
};

// F_i += g, F_j -= g
inline std::vector<Vector> forces_of(const Graph &graph, const std::vector<Vector> &gradient)
{
  std::vector<Vector> forces(graph.num_nodes(), Vector{});
  const std::vector<int> center = graph.centers_of_edges();
  for (int e = 0; e < graph.num_edges(); ++e)
    for (int d = 0; d < 3; ++d) {
      forces[center[e]][d] += gradient[e][d];
      forces[graph.neighbor[e]][d] -= gradient[e][d];
    }
  return forces;
}

inline double rms(const std::vector<Vector> &values)
{
  double sum = 0.0;
  for (const Vector &value : values)
    for (const double x : value) sum += x * x;
  return values.empty() ? 0.0 : std::sqrt(sum / (3.0 * values.size()));
}

// max |difference|, in units of the rms of `expected`
inline double difference(const std::vector<Vector> &found, const std::vector<Vector> &expected)
{
  EXPECT_EQ(found.size(), expected.size());
  if (found.size() != expected.size() || found.empty()) return 0.0;
  double largest = 0.0;
  for (std::size_t e = 0; e < found.size(); ++e)
    for (int d = 0; d < 3; ++d) {
      const double here = std::abs(found[e][d] - expected[e][d]);
      if (!(here <= largest)) largest = here;    // keeps a NaN
    }
  return largest / rms(expected);
}

using Matrix = std::array<Vector, 3>;

inline Vector operator*(const Matrix &m, const Vector &v)
{
  Vector result{};
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b) result[a] += m[a][b] * v[b];
  return result;
}

// Of a unit quaternion.
inline Matrix rotation(double w, double x, double y, double z)
{
  const double n = std::sqrt(w * w + x * x + y * y + z * z);
  w /= n, x /= n, y /= n, z /= n;
  return {{{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
           {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
           {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}}};
}

inline std::vector<Vector> transformed(const Matrix &m, std::vector<Vector> values)
{
  for (Vector &value : values) value = m * value;
  return values;
}

// ---------------------------------------------------------------- the tests

using EngineCase = std::tuple<std::string, EngineSettings>;    // student, settings

inline const auto STUDENTS = testing::Values(std::string("painn-tiny-v1"), std::string("painn-t3-v1"));

inline std::string case_name(const testing::TestParamInfo<EngineCase> &info)
{
  const auto &[student, settings] = info.param;
  std::string name = student + "_" + name_of(settings.precision) + "_" + name_of(settings.jit);
  if (settings.chunk > 0) name += "_chunk_" + std::to_string(settings.chunk);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class EngineTest : public testing::TestWithParam<EngineCase> {
 protected:
  EngineTest() :
      settings_(std::get<EngineSettings>(GetParam())), model_(read_model(std::get<std::string>(GetParam()))),
      engine_(make(model_, settings_))
  {
    std::ifstream file(reference_file(std::get<std::string>(GetParam()) + ".json"));
    const nlohmann::json content = nlohmann::json::parse(file);
    isolated_energy_ = content["isolated_energy"].get<std::vector<double>>();
    for (const auto &stored : content["graphs"]) {
      Graph graph;
      graph.name = stored["name"];
      graph.element = stored["element"].get<std::vector<int>>();
      graph.num_owned_centers = graph.num_nodes();
      graph.first_edge = stored["first_edge"].get<std::vector<int>>();
      graph.neighbor = stored["neighbor"].get<std::vector<int>>();
      graph.rij = stored["rij"].get<std::vector<Vector>>();
      graph.atom_energy = stored["atom_energy"].get<std::vector<double>>();
      graph.gradient = stored["gradient"].get<std::vector<Vector>>();
      graphs_.push_back(graph);
    }
  }

  static ModelFile read_model(const std::string &name)
  {
    const std::string path = reference_file(name + ".pt");
    return ModelFile(ModelFile::read_bytes(path), path);
  }

  const Graph &graph(const std::string &name) const
  {
    return *std::find_if(graphs_.begin(), graphs_.end(), [&](const Graph &g) { return g.name == name; });
  }

  static Output evaluate(Engine &engine, const EdgeList &edges, GhostExchange &ghosts, bool forces = true)
  {
    const Result result = engine.compute(edges, {forces}, ghosts);
    Output output;
    if (edges.num_centers) output.atom_energy.assign(result.atom_energy, result.atom_energy + edges.num_centers);
    output.energy =
        std::accumulate(output.atom_energy.begin(), output.atom_energy.begin() + edges.num_owned_centers, 0.0);
    if (!forces) {
      EXPECT_EQ(result.gradient, nullptr);
    } else if (edges.num_edges) {
      EXPECT_NE(result.gradient, nullptr);
      if (result.gradient)
        for (int e = 0; e < edges.num_edges; ++e)
          output.gradient.push_back({result.gradient[3 * e], result.gradient[3 * e + 1], result.gradient[3 * e + 2]});
    }
    return output;
  }

  Output evaluate(const Graph &graph, bool forces = true)
  {
    NoExchange none;
    return evaluate(*engine_, graph.view(), none, forces);
  }

  // Largest difference of two right results, in units of their size.
  //
  // Rounding: a result comes of a chain of sums (an interaction has 8 linear maps and sums over neighbors, forward and
  // backward: 16 T in all), each of up to 4 F terms (maps to and from 3 F channels; tens of neighbors), hence of
  // relative error 4 F u at worst, u the unit roundoff. If all add up: 64 T F u = 1.2e-4 (T = 2, F = 16) and 9e-5
  // (T = 3, F = 8) with the 6e-8 of fp32. The torch engine stays within 4.2e-5; a narrower type (u = 5e-4), a wrong
  // weight or a missing term lies far above. In fp64 the same is 2e-13, and 9e-14 is found; 1e-10 is what the ranks
  // have to keep, too.
  //
  // 16 bits: the same roundings are larger, so errors grow as u. The 4.2e-5 of fp32 are 700 u, for random weights with a
  // gain above one pass a rounding on with a factor; so 700 u, with u = 2^-11 (fp16) or 2^-9 (bf16). That is coarse: how
  // good 16 bits are shows on a trained student (test_engine_torch.cpp).
  double tolerance() const
  {
    const auto unit = [](int bits) { return std::exp2(-bits); };
    if (settings_.precision == Precision::FP64) return 1e-10;
    if (settings_.precision == Precision::FP16) return 700.0 * unit(11);
    if (settings_.precision == Precision::BF16) return 700.0 * unit(9);
    return 64.0 * model_.num_interactions * model_.num_channels * unit(24);
  }

  // Errors of atom energies add up, and terms cancel in them, so the size is that of the terms: 1 eV at least.
  double energy_tolerance(const Graph &graph) const
  {
    double size = 1.0;
    for (const double energy : graph.atom_energy) size = std::max(size, std::abs(energy));
    return tolerance() * size;
  }

  void expect_equal(const Output &found, const Output &expected, const Graph &graph, const std::string &what)
  {
    ASSERT_EQ(found.atom_energy.size(), expected.atom_energy.size()) << what;
    for (std::size_t i = 0; i < found.atom_energy.size(); ++i)
      EXPECT_NEAR(found.atom_energy[i], expected.atom_energy[i], energy_tolerance(graph)) << what << ", atom " << i;
    EXPECT_NEAR(found.energy, expected.energy, energy_tolerance(graph) * std::max(1, graph.num_centers())) << what;
    EXPECT_LE(difference(found.gradient, expected.gradient), tolerance()) << what;
  }

  static Output stored(const Graph &graph)
  {
    return {std::accumulate(graph.atom_energy.begin(), graph.atom_energy.end(), 0.0), graph.atom_energy,
            graph.gradient};
  }

  EngineSettings settings_;
  ModelFile model_;
  std::unique_ptr<Engine> engine_;
  std::vector<double> isolated_energy_;    // [elements]
  std::vector<Graph> graphs_;
};

class ReferenceTest : public EngineTest {};
class DerivativeTest : public EngineTest {};
class ExchangeTest : public EngineTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ReferenceTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DerivativeTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ExchangeTest);

// Three rounds, because a just-in-time compiler specialises after the first calls, and the shapes change meanwhile.
TEST_P(ReferenceTest, EqualsTheStoredOneWithAndWithoutForces)
{
  for (int round = 0; round < 3; ++round)
    for (const Graph &graph : graphs_) {
      const std::string what = graph.name + ", round " + std::to_string(round);
      Output expected = stored(graph);
      expect_equal(evaluate(graph), expected, graph, what);
      expected.gradient.clear();
      expect_equal(evaluate(graph, false), expected, graph, what + ", energy alone");    // and a null gradient
    }
}

// Five-point differences: truncation h^4 / 30 of the fifth derivative, rounding some 1e-16 |E| / h. With h = 2e-4 Å
// and lengths of 0.05 Å in the bent network and on the ZBL wall (fifth derivative = gradient / length^4) both lie
// between 1e-11 and 1e-8 of the gradient. The twelve displacements of an edge are copies in one graph.
TEST_P(DerivativeTest, GradientIsTheDerivativeOfTheEnergy)
{
  ASSERT_EQ(settings_.precision, Precision::FP64) << "differences of single precision would drown";
  const double h = 2e-4;
  const std::array<double, 4> steps{h, -h, 2 * h, -2 * h}, factors{8.0, -8.0, -1.0, 1.0};
  for (const char *name : {"triple", "walls", "cluster"}) {
    const Graph &graph = this->graph(name);
    std::vector<Vector> numeric(graph.num_edges(), Vector{});
    for (int e = 0; e < graph.num_edges(); ++e) {
      Graph displaced = copies_of(graph, 12);
      for (int copy = 0; copy < 12; ++copy) displaced.rij[copy * graph.num_edges() + e][copy / 4] += steps[copy % 4];
      const std::vector<double> atom_energy = evaluate(displaced, false).atom_energy;
      for (int copy = 0; copy < 12; ++copy) {
        const auto first = atom_energy.begin() + copy * graph.num_nodes();
        numeric[e][copy / 4] += factors[copy % 4] * std::accumulate(first, first + graph.num_nodes(), 0.0) / (12.0 * h);
      }
    }
    EXPECT_LE(difference(evaluate(graph).gradient, numeric), 1e-7) << name;
  }
}

TEST_P(EngineTest, TurnsWithTheGraph)
{
  const Matrix inversion{{{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}}}, mirror{{{-1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  for (const Matrix &m : {rotation(0.3, -0.8, 0.4, 0.6), rotation(0.1, 0.2, 0.9, -0.5), inversion, mirror})
    for (const Graph &graph : graphs_) {
      Graph turned = graph;
      turned.rij = transformed(m, graph.rij);
      Output expected = evaluate(graph);
      expected.gradient = transformed(m, expected.gradient);
      expect_equal(evaluate(turned), expected, graph, graph.name);
    }
}

TEST_P(EngineTest, OrderOfNodesAndEdgesMeansNothing)
{
  std::mt19937 random(1);
  for (const Graph &graph : graphs_) {
    std::vector<int> order(graph.num_nodes()), edge_of;
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    const Graph other = permuted(graph, order, random, edge_of);

    const Output original = evaluate(graph);
    Output expected{original.energy, {}, {}};
    for (const int n : order) expected.atom_energy.push_back(original.atom_energy[n]);
    for (const int e : edge_of) expected.gradient.push_back(original.gradient[e]);
    expect_equal(evaluate(other), expected, graph, graph.name);
  }
}

// A pair that leaves the graph at the cutoff. With y = 1 - delta / r_c the envelope is 10 (delta/r_c)^3 + ..., so the
// energy of its presence falls by 8 when delta is halved, its gradient by 4, and both reach zero.
TEST_P(EngineTest, IsSmoothAtTheCutoff)
{
  const auto at = [&](double delta) {
    return graph_of(
        {0, 1, 0},
        {{{0, 0, 0}, {1.1, 0.2, -0.3}, {-0.6 * (model_.cutoff - delta), 0.0, 0.8 * (model_.cutoff - delta)}}},
        model_.cutoff);
  };
  // in double precision the rates; in single, where differences drown, the limit
  const Graph without = at(-0.01);
  const Output limit = evaluate(without);
  const auto presence = [&](double delta, double &energy, double &gradient) {
    const Graph graph = at(delta);
    ASSERT_GE(graph.num_edges(), without.num_edges() + 2);
    const Output output = evaluate(graph);
    double shift = 0.0;
    for (int i = 0; i < 3; ++i) shift += output.atom_energy[i] - limit.atom_energy[i];
    energy = std::abs(shift);
    gradient = 0.0;
    const std::vector<int> center = graph.centers_of_edges();
    for (int e = 0; e < graph.num_edges(); ++e)
      if (center[e] + graph.neighbor[e] == 2)    // 0 <- 2 and 2 <- 0
        for (const double g : output.gradient[e]) gradient = std::max(gradient, std::abs(g));
  };

  double energy, gradient, energy_half, gradient_half;
  presence(1e-7, energy, gradient);
  EXPECT_LE(energy, 3 * energy_tolerance(without));
  EXPECT_LE(gradient, tolerance());
  if (settings_.precision != Precision::FP64) return;
  presence(0.02, energy, gradient);
  presence(0.01, energy_half, gradient_half);
  ASSERT_GT(energy_half, 1e-11);    // the pair is felt, far above rounding
  EXPECT_NEAR(energy / energy_half, 8.0, 0.4);
  EXPECT_NEAR(gradient / gradient_half, 4.0, 0.2);
}

TEST_P(EngineTest, LoneAtomHasItsOwnEnergy)
{
  for (std::size_t z = 0; z < isolated_energy_.size(); ++z) {
    const Graph graph = lone_atoms({static_cast<int>(z)});
    const Output output = evaluate(graph);
    ASSERT_EQ(output.atom_energy.size(), 1u);
    // reference energies are added in double: only the readout is rounded
    EXPECT_NEAR(output.energy - model_.reference_energies[z], isolated_energy_[z] - model_.reference_energies[z],
                energy_tolerance(graph));
    EXPECT_EQ(output.energy, output.atom_energy[0]);
  }
}

TEST_P(EngineTest, NoEdgesNoCentersNoNodes)
{
  const Graph lone = lone_atoms({0, 1, 1, 0});
  const Output output = evaluate(lone);
  EXPECT_NEAR(output.energy, 2 * isolated_energy_[0] + 2 * isolated_energy_[1], 4 * energy_tolerance(lone));
  EXPECT_EQ(evaluate(lone_atoms({})).energy, 0.0);

  Graph ghosts_only = lone_atoms({});
  ghosts_only.element = {0, 1, 1};
  const std::size_t bytes = engine_->max_bytes_per_row();
  LocalExchange exchange(0, {}, bytes);    // their owners are elsewhere
  EXPECT_EQ(evaluate(*engine_, ghosts_only.view(), exchange).energy, 0.0);
  // a rank without atoms takes part in every exchange, or the others wait for ever
  const int num_exchanges = engine_->exchanges_rows() ? model_.num_interactions - 1 : 0;
  EXPECT_EQ(exchange.num_forward, num_exchanges);
  EXPECT_EQ(exchange.num_reverse, num_exchanges);
  // and afterwards all is as before
  const Graph &liquid = graph("liquid");
  expect_equal(evaluate(liquid), stored(liquid), liquid, "liquid");
}

// Every second edge or so ends on a ghost instead of its owner. Ghosts without edges, and two ghosts of one owner, are
// among them.
TEST_P(ExchangeTest, GhostsStandForTheirOwners)
{
  std::mt19937 random(2);
  for (const Graph &graph : graphs_) {
    const int N = graph.num_nodes();
    Graph split = graph;
    std::vector<int> owner;
    for (int copy = 0; copy < 2; ++copy)
      for (int n = 0; n < N; ++n) owner.push_back(n);
    for (const int n : owner) split.element.push_back(graph.element[n]);
    for (int &j : split.neighbor) j += N * static_cast<int>(random() % 3);

    LocalExchange exchange(N, owner, engine_->max_bytes_per_row());
    const Output output = evaluate(*engine_, split.view(), exchange);
    const Output expected = evaluate(graph);
    expect_equal(output, expected, graph, graph.name);    // edges stand in the same order
    EXPECT_EQ(exchange.num_forward, model_.num_interactions - 1) << graph.name;
    EXPECT_EQ(exchange.num_reverse, model_.num_interactions - 1) << graph.name;

    std::vector<Vector> forces = forces_of(split, output.gradient);
    for (std::size_t g = 0; g < owner.size(); ++g)
      for (int d = 0; d < 3; ++d) forces[owner[g]][d] += forces[N + g][d];
    forces.resize(N);
    EXPECT_LE(difference(forces, forces_of(graph, expected.gradient)), tolerance()) << graph.name;

    LocalExchange energy_only(N, owner, engine_->max_bytes_per_row());
    evaluate(*engine_, split.view(), energy_only, false);
    EXPECT_EQ(energy_only.num_forward, model_.num_interactions - 1) << graph.name;
    EXPECT_EQ(energy_only.num_reverse, 0) << graph.name;
  }
}

// Ranks 0 and 2 share the atoms, rank 1 has none; each has an engine and a thread of its own.
TEST_P(ExchangeTest, RanksTogetherGiveTheWhole)
{
  const Graph &whole = graph("liquid");
  constexpr int num_ranks = 3;
  struct Rank {
    Graph graph;
    std::vector<int> edge_of;    // edge of the whole graph
    std::vector<ThreadExchange::Place> owner;
    std::unique_ptr<Engine> engine;
    Output output;
  };
  std::array<Rank, num_ranks> ranks;
  const auto rank_of = [](int node) { return node % 3 == 0 ? 0 : 2; };

  std::vector<ThreadExchange::Place> place;
  for (int n = 0; n < whole.num_nodes(); ++n) {
    Graph &own = ranks[rank_of(n)].graph;
    place.push_back({rank_of(n), own.num_nodes()});
    own.element.push_back(whole.element[n]);
    ++own.num_owned_centers;
  }
  for (int r = 0; r < num_ranks; ++r) {
    Rank &rank = ranks[r];
    rank.engine = make(model_, settings_);
    std::vector<int> ghost(whole.num_nodes(), -1);
    for (int n = 0; n < whole.num_nodes(); ++n) {
      if (place[n].rank != r) continue;
      for (int e = whole.first_edge[n]; e < whole.first_edge[n + 1]; ++e) {
        const int j = whole.neighbor[e];
        if (place[j].rank != r && ghost[j] < 0) {
          ghost[j] = rank.graph.num_nodes();
          rank.graph.element.push_back(whole.element[j]);
          rank.owner.push_back(place[j]);
        }
        rank.graph.add_edge(place[j].rank == r ? place[j].node : ghost[j], whole.rij[e]);
        rank.edge_of.push_back(e);
      }
      rank.graph.end_row();
    }
  }

  Meeting meeting(num_ranks);
  std::vector<std::thread> threads;
  for (int r = 0; r < num_ranks; ++r)
    threads.emplace_back([&, r] {
      ThreadExchange exchange(meeting, r, ranks[r].graph.num_centers(), ranks[r].owner);
      try {
        ranks[r].output = evaluate(*ranks[r].engine, ranks[r].graph.view(), exchange);
      } catch (const std::exception &error) {
        ADD_FAILURE() << "rank " << r << ": " << error.what();
        meeting.leave();
      }
    });
  for (std::thread &thread : threads) thread.join();
  ASSERT_FALSE(meeting.failed);

  const Output expected = evaluate(whole);
  Output together;
  together.atom_energy.resize(whole.num_nodes());
  together.gradient.resize(whole.num_edges());
  for (int n = 0; n < whole.num_nodes(); ++n)
    together.atom_energy[n] = ranks[place[n].rank].output.atom_energy.at(place[n].node);
  for (const Rank &rank : ranks) {
    together.energy += rank.output.energy;
    for (std::size_t e = 0; e < rank.edge_of.size(); ++e)
      together.gradient[rank.edge_of[e]] = rank.output.gradient.at(e);
  }
  EXPECT_EQ(ranks[1].output.energy, 0.0);
  expect_equal(together, expected, whole, "three ranks");
}

// With a wide halo centers are also ghosts, whose energies do not count: the halves of a graph that count one half of
// the centers each add up to the whole.
TEST_P(EngineTest, OnlyOwnedCentersCount)
{
  std::mt19937 random(3);
  const Graph &whole = graph("liquid");
  const int N = whole.num_nodes(), half = N / 3;
  std::vector<int> order(N), edge_of;
  std::iota(order.begin(), order.end(), 0);
  const Output expected = evaluate(whole);
  Output sum{0.0, expected.atom_energy, std::vector<Vector>(whole.num_edges(), Vector{})};
  for (const int owned : {half, N - half}) {
    Graph part = permuted(whole, order, random, edge_of);
    part.num_owned_centers = owned;
    const Output output = evaluate(part);
    double owned_energy = 0.0;
    for (int n = 0; n < owned; ++n) owned_energy += output.atom_energy[n];
    EXPECT_NEAR(output.energy, owned_energy, 1e-12 * N);    // sums are in double in every precision
    sum.energy += output.energy;
    for (int e = 0; e < whole.num_edges(); ++e)
      for (int d = 0; d < 3; ++d) sum.gradient[edge_of[e]][d] += output.gradient[e][d];
    std::rotate(order.begin(), order.begin() + half, order.end());    // the others come first
  }
  expect_equal(sum, expected, whole, "two halves");
}

// Two ranks share a long chain of atoms. An energy depends on atoms T edges away, so ghosts up to T - 1 edges away as
// centers give the whole without an exchange; with fewer something is missing.
TEST_P(EngineTest, WideHalosGiveTheWholeWithoutAnExchange)
{
  std::mt19937 random(4);
  std::uniform_real_distribution<double> jitter(-0.04, 0.04);
  constexpr int N = 30;
  std::vector<int> element;
  std::vector<Vector> x;
  for (int n = 0; n < N; ++n) {    // each sees two on either side
    element.push_back(n % 3 == 0 ? 1 : 0);
    Vector r{0.4 * n, 0.1 * (n % 2), 0.0};
    for (double &coordinate : r) coordinate = model_.cutoff * (coordinate + jitter(random));
    x.push_back(r);
  }
  const Graph whole = graph_of(element, x, model_.cutoff);
  const Output expected = evaluate(whole);
  const std::vector<Vector> expected_forces = forces_of(whole, expected.gradient);

  NoExchange none;
  const bool is_coarse = tolerance() > 1e-2;    // 16 bits: what is missing lies within their error
  for (int narrower = 0; narrower < (is_coarse ? 1 : 2); ++narrower) {
    double energy = 0.0;
    std::vector<Vector> forces(N, Vector{});
    for (const bool left : {true, false}) {
      std::vector<bool> owned(N);
      for (int n = 0; n < N; ++n) owned[n] = (n < N / 3) == left;
      std::vector<int> node_of;
      const Graph part = with_halo(whole, owned, model_.num_interactions - 1 - narrower, node_of);
      ASSERT_LT(part.num_nodes(), N);
      const Output output = evaluate(*engine_, part.view(), none);
      energy += output.energy;
      const std::vector<Vector> shares = forces_of(part, output.gradient);
      for (int n = 0; n < part.num_nodes(); ++n)
        for (int d = 0; d < 3; ++d) forces[node_of[n]][d] += shares[n][d];
    }
    const double error = difference(forces, expected_forces);
    if (narrower) {
      EXPECT_GT(error, tolerance());
    } else {
      EXPECT_NEAR(energy, expected.energy, energy_tolerance(whole) * N);
      EXPECT_LE(error, settings_.precision == Precision::FP64 ? 1e-12 : tolerance());
    }
  }
}

TEST_P(EngineTest, WarmUpChangesNoResult)
{
  const Graph &liquid = graph("liquid"), &triple = graph("triple");
  const Output before = evaluate(liquid);
  engine_->warm_up(triple.view());
  expect_equal(evaluate(liquid), before, liquid, "after a warm-up");
  const std::unique_ptr<Engine> other = make(model_, settings_);
  other->warm_up(liquid.view());
  NoExchange none;
  expect_equal(evaluate(*other, liquid.view(), none), before, liquid, "warmed up first");
}

TEST_P(EngineTest, WarmUpTellsThePeakOfMemory)
{
  const Graph &liquid = graph("liquid");
  EXPECT_EQ(engine_->peak_bytes(), 0u);
  engine_->warm_up(liquid.view());
  // at the least, the gradient and the basis of one component live at the same time
  EXPECT_GT(engine_->peak_bytes(), liquid.num_edges() * 4 * sizeof(double));
  EXPECT_LT(engine_->peak_bytes(), std::size_t(1) << 30);
}

TEST_P(EngineTest, CountsItsTime)
{
  engine_->reset_times();
  EXPECT_EQ(engine_->times().network, 0.0);
  evaluate(graph("liquid"));
  const Engine::Times once = engine_->times();
  EXPECT_GT(once.network, 0.0);
  EXPECT_GE(once.exchange, 0.0);
  evaluate(graph("liquid"));
  EXPECT_GT(engine_->times().network, once.network);
  EXPECT_NE(engine_->description(), "");
}

}    // namespace mlff

using mlff::case_name;
using mlff::DerivativeTest;
using mlff::EngineTest;
using mlff::ExchangeTest;
using mlff::ReferenceTest;
using mlff::STUDENTS;
