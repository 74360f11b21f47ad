#include "torch_call.h"

#include "heap.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/Allocator.h>
#include <c10/core/AutogradState.h>
#include <torch/version.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <type_traits>

namespace mlff {

namespace {

// As at::Context::setFloat32MatmulPrecision takes it.
std::string products_now()
{
  constexpr const char *NAMES[] = {"highest", "high", "medium"};
  return NAMES[static_cast<int>(at::globalContext().float32MatmulPrecision())];
}

void set_products(const std::string &precision)
{
  if (products_now() != precision) at::globalContext().setFloat32MatmulPrecision(precision);
}

// Sums what LibTorch's allocator of a device hands out and takes back while it is the thread's listener.
class AllocationListener : public c10::MemoryReportingInfoBase {
 public:
  explicit AllocationListener(at::Device device) : device_(device.type()) {}

  void reportMemoryUsage(void *, std::int64_t size, std::size_t, std::size_t, c10::Device device) override
  {
    if (device.type() != device_) return;
    const std::int64_t now = current_ += size;
    std::int64_t before = peak_;
    while (now > before && !peak_.compare_exchange_weak(before, now)) {}
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t peak() const { return peak_; }

 private:
  at::DeviceType device_;
  std::atomic<std::int64_t> current_ = 0, peak_ = 0;
};

}    // namespace

// Gradients: LibTorch has a thread a GPU for them, made at the first call. It gains nothing for one GPU, costs two changes
// of thread, and fails ("device_ready_queues_") where a Python that runs LAMMPS imports torch afterwards, which brings an
// autograd engine of its own.
CallScope::CallScope(const EngineSettings &settings) :
    stream_(settings.device), products_before_(products_now()),
    gradients_in_threads_before_(c10::AutogradState::get_tls_state().get_multithreading_enabled())
{
  const bool on_cpu = settings.device.gpu < 0;
  if (on_cpu && at::get_num_threads() != settings.num_threads) at::set_num_threads(settings.num_threads);
  set_products(settings.precision == Precision::TF32 ? "high" : "highest");
  c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
}

CallScope::~CallScope()
{
  c10::AutogradState::get_tls_state().set_multithreading_enabled(gradients_in_threads_before_);
  set_products(products_before_);
}

TensorGraph tensors_of(const EdgeList &edges, const Device &device, at::ScalarType type)
{
  const auto options = at::TensorOptions(at::Device(torch_device(device)));
  const auto view = [&](const auto *data, const std::vector<std::int64_t> &shape, at::ScalarType data_type) {
    using Value = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
    return shape[0] == 0 ? at::empty(shape, options.dtype(data_type))
                         : at::from_blob(const_cast<Value *>(data), shape, options.dtype(data_type));
  };
  const at::Tensor first = view(edges.first_edge, {edges.num_centers + 1}, at::kInt);
  const at::Tensor degree = first.slice(0, 1) - first.slice(0, 0, edges.num_centers);
  return {edges.num_owned_centers,
          edges.num_centers,
          edges.num_nodes,
          view(edges.element, {edges.num_nodes}, at::kInt).to(at::kLong),
          at::repeat_interleave(degree, std::optional<std::int64_t>(edges.num_edges)).to(at::kLong),
          view(edges.neighbor, {edges.num_edges}, at::kInt).to(at::kLong),
          view(edges.rij, {edges.num_edges, 3}, at::kDouble).to(type)};
}

at::Tensor owned_ones(const TensorGraph &graph, const at::Tensor &energy)
{
  at::Tensor ones = at::zeros_like(energy);
  ones.narrow(0, 0, graph.num_owned_centers).fill_(1.0);
  return ones;
}

at::ScalarType geometry_type(Precision precision)
{
  return precision == Precision::FP64 ? at::kDouble : at::kFloat;
}

at::ScalarType linear_type(Precision precision)
{
  return precision == Precision::BF16 ? at::kBFloat16
      : precision == Precision::FP16  ? at::kHalf
                                      : geometry_type(precision);
}

const EngineSettings &checked(const EngineSettings &settings)
{
  if (settings.precision == Precision::TF32 && settings.device.gpu < 0)
    throw Error(
        "pair_style mlff: expected a GPU for 'precision tf32', found none: CPUs have no such products. Use fp32.");
  return settings;
}

bool tells_of_lack_of_memory(const std::exception &error)
{
  const std::string text = error.what();
  constexpr const char *SIGNS[] = {"out of memory", "can't allocate memory", "bad_alloc"};
  return std::any_of(std::begin(SIGNS), std::end(SIGNS),
                     [&](const char *sign) { return text.find(sign) != std::string::npos; });
}

void call_until_warm(Engine &engine, const EdgeList &edges)
{
  NoExchange no_exchange;
  for (const bool forces : {false, true})
    for (int call = 0; call < WARM_UP_CALLS; ++call) engine.compute(edges, {forces}, no_exchange);
}

std::size_t peak_bytes_of(const Device &device, const std::function<void()> &work)
{
  const at::Device torch(torch_device(device));
  const std::size_t heap_before = heap_bytes();
  const auto listener = std::make_shared<AllocationListener>(torch);
  const c10::DebugInfoGuard listening(c10::DebugInfoKind::PROFILER_STATE, listener);
  work();
  // The heap grows by more than the tensors hold, for its gaps; where it was large before, only the tensors tell.
  return std::max<std::size_t>(listener->peak(), torch.is_cpu() ? heap_bytes() - heap_before : 0);
}

std::string describe(const EngineSettings &settings)
{
  const std::string text = std::string("LibTorch ") + TORCH_VERSION + ", precision " + name_of(settings.precision) +
      ", jit " + name_of(settings.jit) + ", " + device_name(settings.device);
  if (settings.device.gpu >= 0) return text;
  return text + ", " + std::to_string(settings.num_threads) + (settings.num_threads == 1 ? " thread" : " threads");
}

double seconds()
{
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}    // namespace mlff
