#include "script_program.h"

#include <ATen/core/ivalue.h>
#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/runtime/graph_iterator.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

namespace mlff {

namespace {

// The file, from which LibTorch reads. It gives a tensor the memory that it read a record into and compares no sizes, so
// this notes how much went where: a tensor whose record is too short would be evaluated with what lies behind it.
class ArchiveReader : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit ArchiveReader(const ModelFile &model) : model_(model) {}

  size_t size() const override { return model_.bytes().size(); }

  size_t read(uint64_t from, void *to, size_t most, const char * /*what*/) const override
  {
    const size_t n = std::min<size_t>(most, size() - std::min<size_t>(from, size()));
    std::memcpy(to, model_.bytes().data() + from, n);
    num_read_[to] = n;
    return n;
  }

  void check(const at::Tensor &tensor) const
  {
    if (!tensor.defined() || !tensor.has_storage()) return;
    const auto read = num_read_.find(tensor.storage().data());
    if (read != num_read_.end() && read->second < tensor.storage().nbytes())
      throw Error(model_.path + ": expected a record of " + std::to_string(tensor.storage().nbytes()) +
                  " bytes for a tensor of the student's program, found one of " + std::to_string(read->second) +
                  ". Export the student again.");
  }

 private:
  const ModelFile &model_;
  mutable std::map<const void *, size_t> num_read_;    // by address, of the last read
};

void check_tensors_of(const c10::IValue &value, const ArchiveReader &archive)
{
  c10::IValue::HashAliasedIValues values;
  value.getSubValues(values);
  for (const c10::IValue &each : values)
    if (each.isTensor()) archive.check(each.toTensor());
}

// Attributes of the modules, and constants of their methods.
void check_tensors(const torch::jit::Module &program, const ArchiveReader &archive)
{
  check_tensors_of(program._ivalue(), archive);
  for (const torch::jit::Module &module : program.modules())
    for (const torch::jit::Method &method : module.get_methods()) {
      std::shared_ptr<torch::jit::Graph> graph = method.graph();
      torch::jit::DepthFirstGraphNodeIterator nodes(graph);
      for (const torch::jit::Node *node = nodes.next(); node; node = nodes.next())
        if (node->kind() == torch::jit::prim::Constant)
          if (const auto value = torch::jit::toIValue(node->output())) check_tensors_of(*value, archive);
    }
}

}    // namespace

torch::jit::Module load_program(const ModelFile &model)
{
  const auto archive = std::make_shared<ArchiveReader>(model);
  torch::jit::Module program = torch::jit::load(archive, torch::kCPU);
  check_tensors(program, *archive);
  program.eval();
  for (const auto &parameter : program.parameters()) parameter.set_requires_grad(false);
  return program;
}

ScriptScope::ScriptScope(const EngineSettings &settings) :
    before_(torch::jit::getFusionStrategy()), optimizer_(settings.jit != Jit::OFF)
{
  torch::jit::FusionStrategy any{{torch::jit::FusionBehavior::DYNAMIC, 20}};
  torch::jit::setFusionStrategy(any);
}

ScriptScope::~ScriptScope()
{
  torch::jit::setFusionStrategy(before_);
}

}    // namespace mlff
