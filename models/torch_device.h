// What differs between a LibTorch with and without CUDA: chosen by CMake, torch_device_cuda.cpp or torch_device_cpu.cpp.
#pragma once

#include "engine.h"

#include <memory>
#include <string>

namespace mlff {

// LibTorch's name of an engine's device, "cpu" or "cuda:0". Throws Error for a GPU in a build without CUDA, or one that is
// not there.
std::string torch_device(const Device &device);

// What it could still give, shared by all who use it; 0: unknown.
double free_bytes(const Device &device);

// Gives back to the device what LibTorch keeps for later calls.
void release_unused_memory(const Device &device);

// "CPU", or the GPU's name.
std::string device_name(const Device &device);

// The GPU's, "9.0"; empty for the CPU. Throws as torch_device does.
std::string compute_capability(const Device &device);

// While it lives, LibTorch's work of this thread goes to the device's stream.
class StreamScope {
 public:
  explicit StreamScope(const Device &device);
  ~StreamScope();
  StreamScope(const StreamScope &) = delete;
  StreamScope &operator=(const StreamScope &) = delete;

 private:
  struct Guard;
  std::unique_ptr<Guard> guard_;
};

}    // namespace mlff
