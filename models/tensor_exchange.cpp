#include "tensor_exchange.h"

#include "torch_call.h"

#include <ATen/ATen.h>

namespace mlff {

template <class Exchange> at::Tensor TensorExchange::next(const at::Tensor &rows, Exchange exchange)
{
  if (next_ == done_.size()) {
    const at::Tensor values = rows.contiguous();
    const int width = static_cast<int>(values.size(0) > 0 ? values.numel() / values.size(0) : 0);
    const auto type = values.scalar_type() == at::kFloat ? Rows::Type::FLOAT32 : Rows::Type::FLOAT64;
    const double start = seconds();
    exchange(Rows{values.data_ptr(), type, width});
    times_.exchange += seconds() - start;
    done_.push_back(values);
  }
  return done_[next_++];
}

at::Tensor TensorExchange::forward(const at::Tensor &rows)
{
  return next(rows, [&](const Rows &r) { ghosts_.forward(r); });
}

at::Tensor TensorExchange::reverse(const at::Tensor &rows, int num_centers)
{
  return next(rows, [&](const Rows &r) { ghosts_.reverse(r); }).narrow(0, 0, num_centers);
}

}    // namespace mlff
