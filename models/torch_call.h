// What surrounds a call of LibTorch, the same for all engines that make one. Includes LibTorch's headers, as no other
// header does: for sources of engines alone.
#pragma once

#include "engine.h"
#include "mlff_error.h"
#include "torch_device.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <exception>
#include <functional>
#include <string>

namespace mlff {

// LibTorch's settings, which belong to the process or to the thread, as a run needs them. For the time of a call: the
// stream, the precision of products in single precision, and gradients in the caller's thread. From now on: the number of
// threads.
class CallScope {
 public:
  explicit CallScope(const EngineSettings &settings);
  ~CallScope();
  CallScope(const CallScope &) = delete;
  CallScope &operator=(const CallScope &) = delete;

 private:
  StreamScope stream_;
  std::string products_before_;
  bool gradients_in_threads_before_;
};

// The graph as tensors on the device of a run. Where types allow, they view the caller's memory.
struct TensorGraph {
  int num_owned_centers, num_centers, num_nodes;
  at::Tensor element;             // [num_nodes]    int64
  at::Tensor center, neighbor;    // [num_edges]    int64
  at::Tensor rij;                 // [num_edges, 3] of the type asked for
};
TensorGraph tensors_of(const EdgeList &edges, const Device &device, at::ScalarType type);

// 1 for owned centers, 0 for others, like `energy` [num_centers]: what each counts in a gradient on this rank.
at::Tensor owned_ones(const TensorGraph &graph, const at::Tensor &energy);

// Of edge vectors and of sums in a network; of its weights and products.
at::ScalarType geometry_type(Precision precision);
at::ScalarType linear_type(Precision precision);

// The settings; throws Error where the device has no such precision.
const EngineSettings &checked(const EngineSettings &settings);

// call(), with what LibTorch throws as Error.
template <class Call> auto with_errors(Call call)
{
  const std::string failed = "LibTorch failed in the student's program: ";
  try {
    return call();
  } catch (const Error &) {
    throw;
  } catch (const c10::Error &error) {
    throw Error(failed + error.what_without_backtrace());
  } catch (const std::exception &error) {    // torch::jit::JITException; packages
    throw Error(failed + error.what());
  }
}

// Whether an error is one of the allocators'. By its text alone, which is all that TorchScript's interpreter passes on.
bool tells_of_lack_of_memory(const std::exception &error);

// Calls of a program until they take their final time: a profiling run, an optimised run, and two that must already be fast.
constexpr int WARM_UP_CALLS = 4;
// So many of each kind of request.
void call_until_warm(Engine &engine, const EdgeList &edges);

// The most memory that LibTorch holds at a time during work(), in bytes, over what it held before.
std::size_t peak_bytes_of(const Device &device, const std::function<void()> &work);

// "LibTorch 2.11.0, precision fp32, jit freeze, CPU, 2 threads"
std::string describe(const EngineSettings &settings);

// Of a clock for differences.
double seconds();

}    // namespace mlff
