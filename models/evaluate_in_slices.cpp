#include "evaluation.h"

#include <torch/torch.h>

#include <algorithm>

namespace mlff {

namespace {

using at::Tensor;
using torch::autograd::grad;
using torch::autograd::variable_list;

// Centers first .. last-1 as a graph of their own: its nodes are they, then all others that they see.
struct Slice {
  int first_center, last_center, first_edge, last_edge;
  Tensor node;    // [graph.num_nodes] of the whole graph
  TensorGraph graph;

  Tensor centers_of(const Tensor &rows) const { return rows.slice(0, first_center, last_center); }
  Tensor edges_of(const Tensor &rows) const { return rows.slice(0, first_edge, last_edge); }
};

// Cuts a graph into slices.
class Slicer {
 public:
  Slicer(const TensorGraph &graph, int size) : graph_(graph), size_(size)
  {
    // where each slice begins, fetched from the device at once
    std::vector<std::int64_t> centers;
    for (int c = 0; c < graph.num_centers; c += size) centers.push_back(c);
    const Tensor begin = at::tensor(centers, at::kLong).to(graph.center.device());
    const Tensor edge = at::searchsorted(graph.center, begin).cpu();
    first_edge_.assign(edge.data_ptr<std::int64_t>(), edge.data_ptr<std::int64_t>() + centers.size());
    first_edge_.push_back(graph.center.size(0));
  }

  int num_slices() const { return static_cast<int>(first_edge_.size()) - 1; }
  const TensorGraph &whole() const { return graph_; }

  Slice operator[](int n) const
  {
    Slice s;
    s.first_center = n * size_;
    s.last_center = std::min(s.first_center + size_, graph_.num_centers);
    s.first_edge = static_cast<int>(first_edge_[n]);
    s.last_edge = static_cast<int>(first_edge_[n + 1]);
    const Tensor neighbor = s.edges_of(graph_.neighbor);
    const auto longs = graph_.neighbor.options();

    Tensor is_seen = at::zeros({graph_.num_nodes}, longs.dtype(at::kBool)).index_fill_(0, neighbor, true);
    s.centers_of(is_seen).fill_(false);
    s.node = at::cat({at::arange(s.first_center, s.last_center, longs), is_seen.nonzero().squeeze(1)});
    Tensor place = at::empty({graph_.num_nodes}, longs);
    place.index_copy_(0, s.node, at::arange(s.node.size(0), longs));

    const int num_centers = s.last_center - s.first_center;
    s.graph = {std::clamp(graph_.num_owned_centers - s.first_center, 0, num_centers),
               num_centers,
               static_cast<int>(s.node.size(0)),
               graph_.element.index_select(0, s.node),
               s.edges_of(graph_.center) - s.first_center,
               place.index_select(0, neighbor),
               s.edges_of(graph_.rij).detach()};
    return s;
  }

 private:
  const TensorGraph &graph_;
  int size_;
  std::vector<std::int64_t> first_edge_;
};

// Interaction k of a slice; x [graph.num_nodes, 4, F].
Tensor interact(StudentProgram &program, int k, const Tensor &x, const TensorGraph &g)
{
  const std::vector<Tensor> geometry = program.edge_basis(g.rij);
  return program.interaction(k, x, g, geometry[0], geometry[1]);
}

// The rows that go into each interaction, of all nodes; the first has none. Fills atom_energy.
std::vector<Tensor> forward(StudentProgram &program, const Slicer &slices, TensorExchange &exchange,
                            Tensor &atom_energy)
{
  const torch::NoGradGuard no_record;
  const TensorGraph &whole = slices.whole();
  const int last = program.num_interactions() - 1;
  std::vector<Tensor> x_in(last + 1);
  atom_energy = at::empty({whole.num_centers}, whole.rij.options().dtype(at::kDouble));
  for (int k = 0; k <= last; ++k) {
    Tensor x;
    if (k < last) x = at::zeros({whole.num_nodes, 4, program.num_channels()}, whole.rij.options());
    for (int n = 0; n < slices.num_slices(); ++n) {
      const Slice slice = slices[n];
      const Tensor y = interact(program, k, k > 0 ? x_in[k].index_select(0, slice.node) : Tensor(), slice.graph);
      if (k < last)
        slice.centers_of(x).copy_(y);
      else
        slice.centers_of(atom_energy).copy_(program.readout(y, slice.graph) + program.pair_energy(slice.graph));
    }
    if (k < last) x_in[k + 1] = exchange.forward(x);
  }
  return x_in;
}

Tensor backward(StudentProgram &program, const Slicer &slices, const std::vector<Tensor> &x_in, double gradient_scale,
                TensorExchange &exchange)
{
  const torch::AutoGradMode record(true);
  const TensorGraph &whole = slices.whole();
  const int last = program.num_interactions() - 1;
  Tensor gradient = at::zeros(whole.rij.sizes(), whole.rij.options().dtype(at::kDouble));
  Tensor x_gradient;    // of what comes out of interaction k
  for (int k = last; k >= 0; --k) {
    Tensor x_in_gradient;
    if (k > 0) x_in_gradient = at::zeros_like(x_in[k]);
    for (int n = 0; n < slices.num_slices(); ++n) {
      const Slice slice = slices[n];
      const TensorGraph &g = slice.graph;
      g.rij.requires_grad_(true);
      variable_list inputs{g.rij};
      if (k > 0) inputs.push_back(x_in[k].index_select(0, slice.node).requires_grad_(true));
      const Tensor x = interact(program, k, k > 0 ? inputs.back() : Tensor(), g);
      const Tensor y = k == last ? program.readout(x, g) : x;
      const Tensor y_gradient = k == last ? owned_ones(g, y) * gradient_scale : slice.centers_of(x_gradient);
      const variable_list part = grad({y}, inputs, {y_gradient});
      slice.edges_of(gradient).add_(part[0], 1.0 / gradient_scale);
      if (k > 0) x_in_gradient.index_add_(0, slice.node, part[1]);
      if (k < last) continue;
      const Tensor pair_energy = program.pair_energy(g);
      slice.edges_of(gradient).add_(grad({pair_energy}, {g.rij}, {owned_ones(g, pair_energy)})[0]);
    }
    if (k > 0) x_gradient = exchange.reverse(x_in_gradient, whole.num_centers);
  }
  return gradient;
}

}    // namespace

Evaluation evaluate_in_slices(StudentProgram &program, const TensorGraph &graph, const Request &request,
                              double gradient_scale, TensorExchange &exchange, int slice)
{
  const Slicer slices(graph, slice);
  Evaluation result;
  const std::vector<Tensor> x_in = forward(program, slices, exchange, result.atom_energy);
  if (request.forces) result.gradient = backward(program, slices, x_in, gradient_scale, exchange);
  return result;
}

TensorGraph first_slice(const TensorGraph &graph, int num_centers)
{
  return Slicer(graph, num_centers)[0].graph;
}

double bytes_per_center_in_slices(const StudentProgram &program, const EdgeList &edges)
{
  if (edges.num_centers == 0) return 0.0;
  const double value = at::elementSize(program.geometry_type());
  // rows that go into each interaction but the first and their gradients, which the exchange remembers, and those of the
  // segment at work; element, mark and place of a node
  const double node = (2 * program.num_interactions() - 1) * 4.0 * program.num_channels() * value + 17.0;
  // center and neighbor, r_ij in the geometry's type, gradient
  const double edge = 2 * sizeof(std::int64_t) + 3 * value + 3 * sizeof(double);
  return (edges.num_nodes * node + edges.num_edges * edge) / edges.num_centers;
}

}    // namespace mlff
