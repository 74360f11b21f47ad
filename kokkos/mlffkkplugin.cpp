// The entry point that LAMMPS calls when it loads mlffkkplugin.so: registers pair_style mlff and its Kokkos variants, if
// the plugin fits.

#include "lammps_settings.h"
#include "pair_mlff.h"
#include "pair_mlff_kokkos.h"
#include "register_styles.h"

#include "error.h"
#include "info.h"

using namespace LAMMPS_NS;

__attribute__((used)) static const char SETTINGS_TEXT[] = MLFF_SETTINGS;

namespace {

#if defined(LMP_KOKKOS_LAYOUT_LEGACY)
#define MLFF_KOKKOS_LAYOUT "legacy"
#else
#define MLFF_KOKKOS_LAYOUT "default"
#endif

#if defined(KOKKOS_ENABLE_CUDA)
#define MLFF_KOKKOS_GPU "cuda "
#elif defined(KOKKOS_ENABLE_HIP)
#define MLFF_KOKKOS_GPU "hip "
#elif defined(KOKKOS_ENABLE_SYCL)
#define MLFF_KOKKOS_GPU "sycl "
#else
#define MLFF_KOKKOS_GPU ""
#endif

#if defined(KOKKOS_ENABLE_OPENMP)
#define MLFF_KOKKOS_OPENMP "openmp "
#else
#define MLFF_KOKKOS_OPENMP ""
#endif

#if defined(KOKKOS_ENABLE_SERIAL)
#define MLFF_KOKKOS_SERIAL "serial "
#else
#define MLFF_KOKKOS_SERIAL ""
#endif

std::string words(std::string text)    // each followed by a space
{
  if (!text.empty()) text.pop_back();
  return text;
}

mlff::BuildSettings with_kokkos(mlff::BuildSettings compiled)
{
  compiled.kokkos_version = std::to_string(KOKKOS_VERSION / 10000) + "." + std::to_string(KOKKOS_VERSION / 100 % 100) +
      "." + std::to_string(KOKKOS_VERSION % 100);
  compiled.kokkos_precision = "double";    // pair_mlff_kokkos.cpp compiles with no other
  compiled.kokkos_layout = MLFF_KOKKOS_LAYOUT;
  compiled.kokkos_backends = words(MLFF_KOKKOS_GPU MLFF_KOKKOS_OPENMP MLFF_KOKKOS_SERIAL);
  return compiled;
}

mlff::BuildSettings with_running_kokkos(mlff::BuildSettings running)
{
  const auto chosen = [](const char *category, std::initializer_list<const char *> settings) {
    std::string found;
    for (const char *setting : settings)
      if (lammps_config_accelerator("KOKKOS", category, setting)) found += std::string(setting) + " ";
    return words(found);
  };
  const std::string text = Info::get_accelerator_info("KOKKOS"), label = "Kokkos library version: ";
  const auto begin = text.find(label);
  if (begin != std::string::npos)
    running.kokkos_version = text.substr(
        begin + label.size(), text.find_first_not_of("0123456789.", begin + label.size()) - begin - label.size());
  running.kokkos_precision = chosen("precision", {"double", "mixed", "single"});
  running.kokkos_layout = chosen("layout", {"legacy", "default"});
  running.kokkos_backends = chosen("api", {"cuda", "hip", "sycl", "openmp", "serial"});
  return running;
}

// Measured: beside a GPU, forces of the host variant are wrong after the first re-neighboring.
// doc/decisions/0008-no-host-variant-beside-a-gpu.md
void *create_on_host(void *l)
{
  auto *lmp = static_cast<LAMMPS *>(l);
  if (!std::is_same_v<LMPDeviceType, LMPHostType>)
    lmp->error->all(FLERR,
                    "pair_style mlff/kk/host: expected a LAMMPS whose Kokkos runs on CPUs, found one for GPUs, which "
                    "builds neighbor "
                    "lists of the host with old atom types. Use mlff/kk, or the plain mlff with 'suffix off'.");
  return new PairMLFFKokkos<LMPHostType>(lmp);
}

}    // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *register_plugin)
{
  if (stays_away(lmp, with_kokkos(compiled_settings()), with_running_kokkos(running_settings(lmp)))) return;
  const auto add = [&](const char *name, lammpsplugin_factory1 *creator) {
    register_pair(lmp, handle, register_plugin, name, "distilled neural-network potentials", creator);
  };
  add("mlff", create<PairMLFF>);
  add("mlff/kk", create<PairMLFFKokkos<LMPDeviceType>>);
  add("mlff/kk/device", create<PairMLFFKokkos<LMPDeviceType>>);
  add("mlff/kk/host", create_on_host);
}
