// Counts copies between memory spaces that Kokkos makes, and where the host waits for a device: a library for Kokkos's
// profiling hooks,
//
//   KOKKOS_TOOLS_LIBS=libcopies_kokkos.so lmp -k on g 1 -sf kk ...
//
// At the end it prints a line for each pair of names, "COPY <to space> <name> <- <from space> <name>: <count> of <bytes>",
// and for each name of a fence, "FENCE <name>: <count>", the largest of any device: Kokkos tells a fence for all devices
// once for each. Two runs of different length tell what a step does (test_copies.py).

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <utility>

namespace {

struct SpaceHandle {
  char name[64];
};

std::map<std::pair<std::string, std::uint64_t>, long> &copies()
{
  static std::map<std::pair<std::string, std::uint64_t>, long> counts;
  return counts;
}

std::map<std::string, std::map<std::uint32_t, long>> &fences()    // by name and device
{
  static std::map<std::string, std::map<std::uint32_t, long>> counts;
  return counts;
}

}    // namespace

extern "C" {

__attribute__((visibility("default"))) void kokkosp_begin_deep_copy(SpaceHandle to, const char *to_name, const void *,
                                                                    SpaceHandle from, const char *from_name,
                                                                    const void *, std::uint64_t bytes)
{
  // a fill with one value is reported as a copy from the host's "Scalar", or from "(none)" where it names its stream
  const std::string source = from_name;
  if (std::string(to.name) == from.name || source == "Scalar" || source == "(none)") return;
  ++copies()[{std::string(to.name) + " " + to_name + " <- " + from.name + " " + from_name, bytes}];
}

__attribute__((visibility("default"))) void kokkosp_begin_fence(const char *name, std::uint32_t device, std::uint64_t *)
{
  ++fences()[name][device];
}

__attribute__((visibility("default"))) void kokkosp_finalize_library()
{
  for (const auto &[what, count] : copies())
    std::printf("COPY %s: %ld of %llu\n", what.first.c_str(), count, static_cast<unsigned long long>(what.second));
  for (const auto &[name, counts] : fences()) {
    long most = 0;
    for (const auto &[device, count] : counts) most = std::max(most, count);
    std::printf("FENCE %s: %ld\n", name.c_str(), most);
  }
}

}    // extern "C"
