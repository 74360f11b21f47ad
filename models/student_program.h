// The TorchScript program of a student's file, on the device and in the types of a run. For sources of engines alone: it
// includes LibTorch's headers.
#pragma once

#include "torch_call.h"

#include <torch/script.h>

#include <vector>

namespace mlff {

class ModelFile;

// The parts of the program; models/python/mlff/painn.py and doc/model_format.md define them.
class StudentProgram {
 public:
  // Throws Error where the program's parameters are not those of the file's table of weights.
  StudentProgram(const ModelFile &model, const EngineSettings &settings);

  int num_interactions() const { return num_interactions_; }
  int num_channels() const { return num_channels_; }
  at::ScalarType geometry_type() const { return geometry_type_; }

  // {u [num_edges, 3], basis [num_edges, num_radial + 1]}
  std::vector<at::Tensor> edge_basis(const at::Tensor &rij);
  // Interaction k: features [num_centers, 4, num_channels] from those of all nodes, x [num_nodes, 4, num_channels], which
  // the first (k = 0) takes no notice of.
  at::Tensor interaction(int k, const at::Tensor &x, const TensorGraph &graph, const at::Tensor &u,
                         const at::Tensor &basis);
  // Energies [num_centers] in eV: of the network, and of the repulsion at short distance.
  at::Tensor readout(const at::Tensor &x, const TensorGraph &graph);
  at::Tensor pair_energy(const TensorGraph &graph);

 private:
  torch::jit::Module program_;
  at::ScalarType geometry_type_;
  int num_channels_, num_interactions_;
};

}    // namespace mlff
