#include "torch_device.h"

#include "free_memory.h"
#include "mlff_error.h"

namespace mlff {

struct StreamScope::Guard {};

StreamScope::StreamScope(const Device &) {}
StreamScope::~StreamScope() = default;

std::string torch_device(const Device &device)
{
  if (device.gpu >= 0)
    throw Error("pair_style mlff/kk: expected a plugin built for GPUs, found one whose LibTorch part was built without "
                "CUDA. Configure it with a LibTorch with CUDA and -D MLFF_ENABLE_CUDA=ON.");
  return "cpu";
}

double free_bytes(const Device &)
{
  return free_bytes_of_node();
}

void release_unused_memory(const Device &) {}

std::string device_name(const Device &)
{
  return "CPU";
}

std::string compute_capability(const Device &)
{
  return "";
}

}    // namespace mlff
