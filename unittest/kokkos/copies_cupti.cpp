// Counts copies between host and GPU of a whole process, LibTorch's and Kokkos's, and adds up the time of its kernels, as
// NVIDIA's CUPTI sees them:
//
//   CUDA_INJECTION64_PATH=libcopies_cupti.so lmp ...
//
// At the end it prints "CUDA <direction>: <count> of <bytes>" for each size, and "CUDA kernels of <whom>: <count>, <time>
// ms", where the kernels of mlff are those of its glue, and what is neither its nor LAMMPS's is the network's.

#include <cupti.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace {

constexpr size_t BUFFER_SIZE = 1 << 22;

std::mutex mutex;
std::map<std::pair<int, unsigned long long>, long> copies;

struct Kernels {
  long count = 0;
  unsigned long long nanoseconds = 0;
};
std::map<std::string, Kernels> kernels;

// Kokkos's kernels carry the names of the functors and lambdas that they run.
const char *whose(const char *kernel)
{
  if (std::strstr(kernel, "Kokkos") == nullptr) return "network";
  return std::strstr(kernel, "mlff") != nullptr ? "mlff" : "LAMMPS";
}

void CUPTIAPI give_buffer(uint8_t **buffer, size_t *size, size_t *max_records)
{
  *buffer = static_cast<uint8_t *>(std::aligned_alloc(8, BUFFER_SIZE));
  *size = BUFFER_SIZE;
  *max_records = 0;
}

void CUPTIAPI take_buffer(CUcontext, uint32_t, uint8_t *buffer, size_t, size_t valid)
{
  const std::lock_guard<std::mutex> lock(mutex);
  CUpti_Activity *record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
    if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      const auto *copy = reinterpret_cast<const CUpti_ActivityMemcpy6 *>(record);
      ++copies[{copy->copyKind, copy->bytes}];
    } else {
      const auto *kernel = reinterpret_cast<const CUpti_ActivityKernel9 *>(record);
      Kernels &sum = kernels[whose(kernel->name)];
      ++sum.count;
      sum.nanoseconds += kernel->end - kernel->start;
    }
  }
  std::free(buffer);
}

void print()
{
  cuptiActivityFlushAll(1);
  for (const auto &[what, count] : copies) {
    const char *direction = what.first == CUPTI_ACTIVITY_MEMCPY_KIND_HTOD ? "host to device"
        : what.first == CUPTI_ACTIVITY_MEMCPY_KIND_DTOH                   ? "device to host"
                                                                          : "other";
    std::printf("CUDA %s: %ld of %llu\n", direction, count, what.second);
  }
  for (const auto &[whom, sum] : kernels)
    std::printf("CUDA kernels of %s: %ld, %.3f ms\n", whom.c_str(), sum.count, 1e-6 * sum.nanoseconds);
}

}    // namespace

extern "C" __attribute__((visibility("default"))) int InitializeInjection()
{
  cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMCPY);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  std::atexit(print);
  return 1;
}
