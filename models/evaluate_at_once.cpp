#include "evaluation.h"

#include <torch/torch.h>

namespace mlff {

namespace {

using at::Tensor;
using torch::autograd::grad;
using torch::autograd::variable_list;

// Rows of all nodes from those of the centers; an exchange fills the ghosts'.
Tensor rows_of_nodes(const Tensor &x, const TensorGraph &g)
{
  if (g.num_nodes == g.num_centers) return x;
  Tensor rows = x.new_zeros({g.num_nodes, x.size(1), x.size(2)});
  rows.narrow(0, 0, g.num_centers).copy_(x);
  return rows;
}

// The segments as they were recorded forwards. x_in[k] are the rows that go into interaction k, x[k] those that come out.
struct Segments {
  variable_list geometry, geometry_in;    // u and basis: as functions of rij, and as inputs of the interactions
  variable_list x_in, x;
  Tensor energy, pair_energy;
};

Segments forward(StudentProgram &program, const TensorGraph &g, bool record, TensorExchange &exchange)
{
  const torch::AutoGradMode mode(record);
  const auto leaf = [&](const Tensor &t) { return t.detach().requires_grad_(record); };
  const int num_interactions = program.num_interactions();
  Segments s;
  g.rij.requires_grad_(record);
  s.geometry = program.edge_basis(g.rij);
  s.geometry_in = {leaf(s.geometry[0]), leaf(s.geometry[1])};
  s.x_in.resize(num_interactions);
  s.x.resize(num_interactions);
  for (int k = 0; k < num_interactions; ++k) {
    if (k > 0) s.x_in[k] = leaf(exchange.forward(rows_of_nodes(s.x[k - 1].detach(), g)));
    s.x[k] = program.interaction(k, s.x_in[k], g, s.geometry_in[0], s.geometry_in[1]);
  }
  s.energy = program.readout(s.x.back(), g);
  s.pair_energy = program.pair_energy(g);
  return s;
}

// The segments backwards: dE/dr_ij [num_edges, 3].
Tensor backward(const Segments &s, const TensorGraph &g, double gradient_scale, TensorExchange &exchange)
{
  // d(segment)/d(u, basis, rows that went in) with the given gradient of what came out; the first has no rows
  const auto segment = [&](int k, const Tensor &output, const Tensor &output_gradient) {
    variable_list inputs = s.geometry_in;
    if (k > 0) inputs.push_back(s.x_in[k]);
    return grad({output}, inputs, {output_gradient});
  };
  const int last = static_cast<int>(s.x.size()) - 1;
  variable_list total = segment(last, s.energy, owned_ones(g, s.energy) * gradient_scale);
  for (int k = last - 1; k >= 0; --k) {
    const Tensor x_gradient = exchange.reverse(total[2], g.num_centers);
    const variable_list part = segment(k, s.x[k], x_gradient);
    total = {total[0] + part[0], total[1] + part[1], k > 0 ? part[2] : Tensor()};
  }
  if (gradient_scale != 1.0) total = {total[0] / gradient_scale, total[1] / gradient_scale};
  const Tensor pair_seed = owned_ones(g, s.pair_energy);
  return grad({s.geometry[0], s.geometry[1], s.pair_energy}, {g.rij}, {total[0], total[1], pair_seed})[0];
}

}    // namespace

Evaluation evaluate_at_once(StudentProgram &program, const TensorGraph &graph, const Request &request,
                            double gradient_scale, TensorExchange &exchange)
{
  const Segments segments = forward(program, graph, request.forces, exchange);
  Evaluation result;
  result.atom_energy = (segments.energy + segments.pair_energy).detach();
  if (request.forces)
    result.gradient = backward(segments, graph, gradient_scale, exchange).to(at::kDouble).contiguous();
  return result;
}

}    // namespace mlff
