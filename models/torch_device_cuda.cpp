#include "torch_device.h"

#include "free_memory.h"
#include "mlff_error.h"

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace mlff {

struct StreamScope::Guard {
  c10::cuda::CUDAStreamGuard stream;
};

StreamScope::StreamScope(const Device &device)
{
  if (device.gpu < 0) return;
  const auto number = static_cast<c10::DeviceIndex>(device.gpu);
  auto *raw = static_cast<cudaStream_t>(device.stream);
  guard_.reset(new Guard{c10::cuda::CUDAStreamGuard(c10::cuda::getStreamFromExternal(raw, number))});
}

StreamScope::~StreamScope() = default;

std::string torch_device(const Device &device)
{
  if (device.gpu < 0) return "cpu";
  const int count = c10::cuda::device_count();
  if (device.gpu >= count)
    throw Error("pair_style mlff/kk: expected LibTorch to see GPU " + std::to_string(device.gpu) + ", found " +
                std::to_string(count) + " of them. Its CUDA may be newer than the driver.");
  return "cuda:" + std::to_string(device.gpu);
}

double free_bytes(const Device &device)
{
  if (device.gpu < 0) return free_bytes_of_node();
  const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device.gpu));
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return 0.0;
  // what LibTorch keeps for later calls is free for them
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(static_cast<c10::DeviceIndex>(device.gpu));
  return static_cast<double>(free) + stats.reserved_bytes[0].current - stats.allocated_bytes[0].current;
}

void release_unused_memory(const Device &device)
{
  if (device.gpu >= 0) c10::cuda::CUDACachingAllocator::emptyCache();
}

std::string device_name(const Device &device)
{
  return device.gpu < 0 ? "CPU" : at::cuda::getDeviceProperties(device.gpu)->name;
}

std::string compute_capability(const Device &device)
{
  if (device.gpu < 0) return "";
  torch_device(device);    // throws where it is not there
  const cudaDeviceProp &gpu = *at::cuda::getDeviceProperties(device.gpu);
  return std::to_string(gpu.major) + "." + std::to_string(gpu.minor);
}

}    // namespace mlff
