// Counts copies between host and GPU of a whole process, LibTorch's and Kokkos's, as NVIDIA's CUPTI sees them:
//
//   CUDA_INJECTION64_PATH=libcopies_cupti.so lmp ...
//
// At the end it prints "CUDA <direction>: <count> of <bytes>" for each size, and the number of kernels.

#include <cupti.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

namespace {

constexpr size_t BUFFER_SIZE = 1 << 22;

std::mutex mutex;
std::map<std::pair<int, unsigned long long>, long> copies;
long kernels = 0;

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
      ++kernels;
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
  std::printf("CUDA kernels: %ld\n", kernels);
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
