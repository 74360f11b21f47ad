// What the torch engine does where memory is short: it plans slices, and goes on in smaller ones within a call.

#include "engine_tests.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <gmock/gmock.h>

std::unique_ptr<mlff::Engine> make(const mlff::ModelFile &model, const mlff::EngineSettings &settings)
{
  return mlff::make_engine_torch(model, settings);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EngineTest);    // test_engine_torch.cpp runs these

namespace mlff {

namespace {

// LibTorch's allocator for CPUs with a cap for each thread, which stands for a rank.
class CappedAllocator : public c10::Allocator {
 public:
  inline static thread_local std::size_t cap = 0;    // bytes over what the thread holds; 0: none
  inline static thread_local std::size_t held = 0;
  inline static thread_local int num_refusals = 0;

  c10::DataPtr allocate(std::size_t size) override
  {
    if (cap > 0 && held + size > cap) {
      ++num_refusals;
      throw std::bad_alloc();
    }
    held += size;
    auto *block = new Block{size, default_->allocate(size)};
    return {block->data.get(), block, release, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void *to, const void *from, std::size_t size) const override { default_copy_data(to, from, size); }

 private:
  struct Block {
    std::size_t size;
    c10::DataPtr data;
  };
  static void release(void *pointer)
  {
    auto *block = static_cast<Block *>(pointer);
    held -= std::min(held, block->size);
    delete block;
  }

  c10::Allocator *default_ = c10::GetDefaultCPUAllocator();
};

CappedAllocator &capped_allocator()
{
  static CappedAllocator allocator;
  static const bool in_place = (c10::SetCPUAllocator(&allocator, 255), true);    // the highest priority
  (void) in_place;
  return allocator;
}

// A liquid of `n` atoms on a jittered cubic lattice of 2 Å, as isolated atoms.
Graph lump(int n, double cutoff)
{
  std::mt19937 random(3);
  std::uniform_real_distribution<double> jitter(-0.2, 0.2);
  const int side = static_cast<int>(std::ceil(std::cbrt(n)));
  std::vector<int> element;
  std::vector<Vector> x;
  for (int i = 0; i < n; ++i) {
    element.push_back(i % 2);
    x.push_back({2.0 * (i % side) + jitter(random), 2.0 * (i / side % side) + jitter(random),
                 2.0 * (i / side / side) + jitter(random)});
  }
  return graph_of(element, x, cutoff);
}

class ShortMemory : public testing::Test {
 protected:
  ShortMemory() { capped_allocator(); }
  ~ShortMemory() override { CappedAllocator::cap = 0; }

  static ModelFile read_model()
  {
    const std::string path = reference_file("painn-t3-v1.pt");
    return ModelFile(ModelFile::read_bytes(path), path);
  }
  static Output evaluate(Engine &engine, const Graph &graph, GhostExchange &ghosts)
  {
    const EdgeList edges = graph.view();
    const Result result = engine.compute(edges, {}, ghosts);
    Output output;
    output.atom_energy.assign(result.atom_energy, result.atom_energy + edges.num_centers);
    for (int e = 0; e < edges.num_edges; ++e)
      output.gradient.push_back({result.gradient[3 * e], result.gradient[3 * e + 1], result.gradient[3 * e + 2]});
    return output;
  }
  static void expect_equal(const Output &found, const Output &expected)
  {
    for (std::size_t i = 0; i < expected.atom_energy.size(); ++i)
      EXPECT_NEAR(found.atom_energy.at(i), expected.atom_energy[i], 1e-12);
    EXPECT_LT(difference(found.gradient, expected.gradient), 1e-12);
  }

  ModelFile model_ = read_model();
  Graph graph_ = lump(500, model_.cutoff);
  NoExchange none_;
};

// The cap lies between what slices and what the whole graph take: the call goes on in slices, and says so once.
TEST_F(ShortMemory, GoesOnInSmallerSlicesWithinACall)
{
  const auto free = make(model_, {Precision::FP64}), short_of_memory = make(model_, {Precision::FP64});
  const Output expected = evaluate(*free, graph_, none_);
  free->warm_up(graph_.view());
  ASSERT_EQ(short_of_memory->most_centers_at_once(), 0);

  std::vector<int> owner(graph_.num_nodes());
  std::iota(owner.begin(), owner.end(), 0);
  Graph split = graph_;    // each neighbor is seen as a ghost, so that rows are exchanged
  for (const int n : owner) split.element.push_back(graph_.element[n]);
  for (int &j : split.neighbor) j += graph_.num_nodes();
  LocalExchange exchange(graph_.num_nodes(), owner, free->max_bytes_per_row());

  CappedAllocator::cap = CappedAllocator::held + free->peak_bytes() / 2;
  const Output found = evaluate(*short_of_memory, split, exchange);
  CappedAllocator::cap = 0;
  EXPECT_GT(CappedAllocator::num_refusals, 0);
  expect_equal(found, expected);
  EXPECT_EQ(exchange.num_forward, model_.num_interactions - 1) << "other ranks take no part in a second try";
  EXPECT_EQ(exchange.num_reverse, model_.num_interactions - 1);
  EXPECT_GT(short_of_memory->most_centers_at_once(), 0);
  EXPECT_THAT(short_of_memory->take_notice(), testing::HasSubstr("memory does not suffice for 500 atoms at once"));
  EXPECT_EQ(short_of_memory->take_notice(), "");
}

TEST_F(ShortMemory, StopsWithASentenceWhereTheSmallestSliceDoesNotFit)
{
  const auto engine = make(model_, {Precision::FP64});
  CappedAllocator::cap = CappedAllocator::held + 100000;
  try {
    evaluate(*engine, graph_, none_);
    FAIL() << "expected an error, found none";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("expected memory for slices of"));
    EXPECT_THAT(error.what(), testing::HasSubstr("Use more ranks or GPUs."));
  }
}

TEST_F(ShortMemory, PlansSlicesByWhatItMayTake)
{
  const Graph large = lump(6000, model_.cutoff);
  const auto free = make(model_, {Precision::FP32}), limited = make(model_, {Precision::FP32});
  free->limit_memory(1e12);
  free->warm_up(large.view());
  EXPECT_EQ(free->most_centers_at_once(), 0) << "there was room";
  const double limit = 0.5 * free->peak_bytes();
  limited->limit_memory(limit);
  limited->warm_up(large.view());
  EXPECT_GT(limited->most_centers_at_once(), 0);
  EXPECT_LT(limited->most_centers_at_once(), 6000);
  EXPECT_LT(limited->peak_bytes(), limit);
  EXPECT_EQ(limited->take_notice(), "") << "no allocation failed";
}

}    // namespace

}    // namespace mlff
