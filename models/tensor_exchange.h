// Rows of tensors between ranks. For sources of engines alone: it includes LibTorch's headers.
#pragma once

#include "engine.h"

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <vector>

namespace mlff {

// Exchanges of one evaluation, in order. It remembers their results: an evaluation that runs out of memory halfway begins
// anew, in smaller pieces, and finds them here. Other ranks take no part in that and need not know of it.
class TensorExchange {
 public:
  TensorExchange(GhostExchange &ghosts, Engine::Times &times) : ghosts_(ghosts), times_(times) {}

  // rows [num_nodes, ...]: those of ghosts are filled. The result is not to be written to.
  at::Tensor forward(const at::Tensor &rows);
  // rows [num_nodes, ...]: those of ghosts are added to their owners'; the result has those of the centers alone.
  at::Tensor reverse(const at::Tensor &rows, int num_centers);

  // The evaluation begins anew.
  void rewind() { next_ = 0; }

 private:
  // Exchange number next_: remembered, or the result of exchange(rows).
  template <class Exchange> at::Tensor next(const at::Tensor &rows, Exchange exchange);

  GhostExchange &ghosts_;
  Engine::Times &times_;
  std::vector<at::Tensor> done_;
  std::size_t next_ = 0;
};

}    // namespace mlff
