#include "student_program.h"

#include "mlff_error.h"
#include "model_file.h"
#include "script_program.h"

#include <algorithm>
#include <string>

namespace mlff {

namespace {

using at::Tensor;

// Parameters and program of the file must agree: the fused engine takes the weights by name, this one the program.
void check_parameters(const torch::jit::Module &program, const ModelFile &model)
{
  size_t found = 0;
  for (const auto &parameter : program.named_parameters()) {
    const auto weight = model.weights.find(parameter.name);
    const Tensor values = parameter.value.contiguous();
    if (weight == model.weights.end() || values.scalar_type() != at::kFloat ||
        !values.sizes().equals(weight->second.shape) ||
        !std::equal(weight->second.values.begin(), weight->second.values.end(), values.data_ptr<float>()))
      throw Error(model.path + ": expected the program's parameter '" + parameter.name +
                  "' to equal the one in mlff.safetensors, found another or none. Export the student again.");
    ++found;
  }
  if (found != model.weights.size())
    throw Error(model.path + ": expected a program with the " + std::to_string(model.weights.size()) +
                " parameters of mlff.safetensors, found " + std::to_string(found) + ". Export the student again.");
}

}    // namespace

StudentProgram::StudentProgram(const ModelFile &model, const EngineSettings &settings) :
    program_(load_program(model)), geometry_type_(mlff::geometry_type(settings.precision)),
    num_channels_(model.num_channels), num_interactions_(model.num_interactions)
{
  check_parameters(program_, model);
  program_.to(at::Device(torch_device(settings.device)), geometry_type_);
  if (const at::ScalarType type = linear_type(settings.precision); type != geometry_type_)
    for (const auto &parameter : program_.named_parameters())
      if (parameter.name != "embedding") parameter.value.set_data(parameter.value.to(type));
  if (settings.jit == Jit::FREEZE)
    program_ = torch::jit::freeze(
        program_, std::vector<std::string>{"edge_basis", "first_interaction", "interaction", "readout", "pair_energy"});
}

std::vector<Tensor> StudentProgram::edge_basis(const Tensor &rij)
{
  const auto both = program_.get_method("edge_basis")({rij}).toTuple();
  return {both->elements()[0].toTensor(), both->elements()[1].toTensor()};
}

Tensor StudentProgram::interaction(int k, const Tensor &x, const TensorGraph &g, const Tensor &u, const Tensor &basis)
{
  if (k == 0)
    return program_.get_method("first_interaction")({g.element, g.center, g.neighbor, u, basis, g.num_centers})
        .toTensor();
  return program_.get_method("interaction")({k, x, g.center, g.neighbor, u, basis, g.num_centers}).toTensor();
}

Tensor StudentProgram::readout(const Tensor &x, const TensorGraph &g)
{
  return program_.get_method("readout")({x, g.element}).toTensor();
}

Tensor StudentProgram::pair_energy(const TensorGraph &g)
{
  return program_.get_method("pair_energy")({g.element, g.center, g.neighbor, g.rij, g.num_centers}).toTensor();
}

}    // namespace mlff
