// Two ways of evaluating a student: the graph at once, and in slices of centers where memory is short. For sources of
// engines alone: it includes LibTorch's headers.
//
// The student is evaluated in segments that are separate autograd graphs: edge basis, first interaction,
// interactions 1 .. T-1, the last with the readout. Between two segments stand rows of features, which the owners
// send to their ghosts; on the way back the gradients of these rows travel from ghosts to owners. So every exchange
// is called from the caller's own thread (autograd may run a backward pass in a thread of its own, where no MPI may
// be called), and no custom autograd function is needed.
#pragma once

#include "student_program.h"
#include "tensor_exchange.h"

namespace mlff {

struct Evaluation {
  at::Tensor atom_energy;    // [num_centers]  double
  at::Tensor gradient;       // [num_edges, 3] double, dE/dr_ij of the owned centers' energy; undefined unless asked for
};

// gradient_scale: factor on the gradients of the backward pass, divided out of its result. Half precision has no room for
// small gradients.
Evaluation evaluate_at_once(StudentProgram &program, const TensorGraph &graph, const Request &request,
                            double gradient_scale, TensorExchange &exchange);

// Slices of at most `slice` centers, one after the other in each segment. Nothing is kept of a slice but what the next
// segment needs, and the forward part is done again in the backward pass. The same numbers but for rounding: sums over
// edges are taken in another order.
Evaluation evaluate_in_slices(StudentProgram &program, const TensorGraph &graph, const Request &request,
                              double gradient_scale, TensorExchange &exchange, int slice);

// Centers 0 .. num_centers-1 of a graph as a graph of their own, with those nodes alone that they see.
TensorGraph first_slice(const TensorGraph &graph, int num_centers);

// What evaluate_in_slices holds for each center of the whole graph, whatever the size of a slice, in bytes: rows of
// features and their gradients, and the gradient of each edge.
double bytes_per_center_in_slices(const StudentProgram &program, const EdgeList &edges);

}    // namespace mlff
