// Counts copies between host and GPU of a whole process, LibTorch's and Kokkos's, and adds up the time of its kernels, as
// NVIDIA's CUPTI sees them:
//
//   CUDA_INJECTION64_PATH=libcopies_cupti.so lmp ...
//
// At the end it prints "CUDA <direction>: <count> of <bytes>" for each size, "CUDA kernels of <whom>: <count>, <time> ms",
// where the kernels of mlff are those of its glue, and what is neither its nor LAMMPS's is the network's, and the same for
// each function of the glue and of LAMMPS, "CUDA kernels of <whom>, <function>: ...".

#include <cupti.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
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

  void operator+=(const Kernels &other)
  {
    count += other.count;
    nanoseconds += other.nanoseconds;
  }
};
std::map<std::string, Kernels> kernels;    // by their names, mangled

// "Class::method" that runs a lambda, or "Class" of a functor; empty for others. Kokkos's kernels carry these names.
std::string function_of(const std::string &kernel)
{
  int status = 0;
  char *text = abi::__cxa_demangle(kernel.c_str(), nullptr, nullptr, &status);
  const std::string name = status == 0 ? text : kernel;
  std::free(text);
  const auto word = [&](std::size_t at) {
    std::size_t end = at;
    while (end < name.size() && (std::isalnum(static_cast<unsigned char>(name[end])) || name[end] == '_')) ++end;
    return name.substr(at, end - at);
  };
  const std::string space = "LAMMPS_NS::";
  const std::size_t lambda = name.find("&" + space);
  if (lambda == std::string::npos) {
    const std::size_t at = name.find(space);
    return at == std::string::npos ? "" : word(at + space.size());
  }
  const std::size_t at = lambda + 1 + space.size(), method = name.find(">::", at);
  return word(at) + (method == std::string::npos ? "" : "::" + word(method + 3));
}

const char *whose(const std::string &kernel, const std::string &function)
{
  if (kernel.find("Kokkos") == std::string::npos) return "network";
  for (const char *ours : {"EdgeBuilderKokkos", "PairMLFFKokkos", "RowExchangeKokkos"})
    if (function.rfind(ours, 0) == 0) return "mlff";
  return "LAMMPS";
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
      kernels[kernel->name] += {1, kernel->end - kernel->start};
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
  std::map<std::string, Kernels> sums;
  for (const auto &[name, kernel] : kernels) {
    const std::string function = function_of(name), whom = whose(name, function);
    sums[whom] += kernel;
    if (!function.empty()) sums[whom + ", " + function] += kernel;
  }
  for (const auto &[whom, sum] : sums)
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
