#include "running_torch.h"

#include <ATen/Version.h>

namespace mlff {

// LibTorch has no function for its version; its list of build settings has it in all releases.
std::string running_libtorch()
{
  const std::string text = at::show_config(), label = "TORCH_VERSION=";
  const auto found = text.find(label);
  if (found == std::string::npos) return "";
  const auto begin = found + label.size();
  return text.substr(begin, text.find_first_not_of("0123456789.", begin) - begin);
}

}    // namespace mlff
