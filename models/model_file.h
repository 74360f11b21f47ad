// A student's file, read and checked: zip archive -> header, weights, program. Runs nothing and needs no LibTorch.
// Format: doc/model_format.md.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mlff {

class ModelFile {
 public:
  // Checks `bytes`, the whole content of the file `path` (used in messages only): archive, CRC of each record,
  // header and its fields, SHA-256 over all records but the header, table of weights. Throws Error with the file,
  // what was expected, what was found and what to do.
  ModelFile(std::vector<char> bytes, const std::string &path);

  // Reads the file, then as above.
  static std::vector<char> read_bytes(const std::string &path);

  // A tensor of mlff.safetensors.
  struct Weight {
    std::vector<std::int64_t> shape;
    std::vector<float> values;    // row major
  };

  std::string path;
  std::string kind;    // "painn": the built-in network; "custom": another module, of which only forward() is known
  std::string name;
  int num_channels = 0;        // F                          painn
  int num_interactions = 0;    // T: an atom's energy depends on atoms up to T edges away
  int num_radial = 0;          // K                          painn
  std::int64_t num_parameters = 0;
  double fp16_gradient_scale = 256.0;        // factor on the gradients of a backward pass in half precision
  double norm_epsilon = 1e-8;                // under the square root of |Vv|, painn
  std::array<double, 2> inner_switch{};      // Å; where distances are held back from the network, painn; 0, 0: nowhere
  double cutoff = 0.0;                       // Å
  std::vector<std::string> elements;         // chemical symbols; EdgeList::element indexes this
  std::vector<int> atomic_numbers;           // for each element
  std::vector<double> reference_energies;    // eV, for each element
  std::vector<double> zbl_radii;             // Å, for each element, painn
  std::string dtype;                         // of the stored weights
  std::vector<std::string> precisions;       // "fp64", ... that the network works in
  std::string sha256;

  // Provenance, for the log; empty where the file says nothing.
  std::string date, teacher, data, license, contributor;
  std::vector<std::pair<std::string, double>> errors;    // on held-out data: what (with its unit) and how large
  std::vector<std::string> references;                   // BibTeX

  std::map<std::string, Weight> weights;    // by documented name; painn

  bool is_custom() const { return kind == "custom"; }

  // The whole file, for torch::jit::load.
  const std::vector<char> &bytes() const { return bytes_; }

  // Index of a chemical symbol in `elements`; throws Error that names the elements of the file.
  int element_index(const std::string &symbol) const;

 private:
  std::vector<char> bytes_;
};

}    // namespace mlff
