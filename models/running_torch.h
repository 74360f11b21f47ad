// The LibTorch that this process has: another than the plugin was compiled for where Python imported its own before.
#pragma once

#include <string>

namespace mlff {

// "2.11.0"; empty in a build without LibTorch.
std::string running_libtorch();

}    // namespace mlff
