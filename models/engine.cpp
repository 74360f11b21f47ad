#include "engine.h"

namespace mlff {

const char *name_of(Precision precision)
{
  constexpr const char *NAMES[] = {"fp64", "fp32", "tf32", "bf16", "fp16"};
  return NAMES[static_cast<int>(precision)];
}

const char *name_of(Jit jit)
{
  constexpr const char *NAMES[] = {"off", "script", "freeze", "aot"};
  return NAMES[static_cast<int>(jit)];
}

}    // namespace mlff
