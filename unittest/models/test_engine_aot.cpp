// The engine of compiled students, on the CPU. compile_packages.py has compiled them.

#include "engine_tests.h"

#include <string>

namespace {

std::string package_of(const mlff::ModelFile &model, const mlff::EngineSettings &settings)
{
  const std::string name = model.path.substr(model.path.rfind('/') + 1);
  return mlff::aot_package_path(compiled_student(name), settings);
}

}    // namespace

std::unique_ptr<mlff::Engine> make(const mlff::ModelFile &model, const mlff::EngineSettings &settings)
{
  return mlff::make_engine_aot(model, package_of(model, settings), settings);
}

#include "zip_records.h"

#include <ATen/Context.h>
#include <c10/core/AutogradState.h>
#include <gmock/gmock.h>

#include <filesystem>

namespace mlff {

namespace {

using testing::AllOf;
using testing::HasSubstr;

// To compile takes minutes, so there is one package for each precision (compile_packages.py).
const EngineCase FP64{"painn-t3-v1", {Precision::FP64, Jit::AOT}};
const EngineCase FP32{"painn-tiny-v1", {Precision::FP32, Jit::AOT}};
const EngineCase FP16{"painn-t3-v1", {Precision::FP16, Jit::AOT}};
const auto PACKAGES = testing::Values(FP64, FP32, FP16);

// Besides what all engines must do.
class EngineAotTest : public EngineTest {
 protected:
  std::string refusal(const std::string &package, const EngineSettings &settings) const
  {
    try {
      make_engine_aot(model_, package, settings);
    } catch (const Error &error) {
      return error.what();
    }
    ADD_FAILURE() << "expected an error, found none";
    return "";
  }
};

// The same mathematics in another order: within the rounding of either.
TEST_P(EngineAotTest, EqualsTheInterpreter)
{
  EngineSettings interpreted = settings_;
  interpreted.jit = Jit::OFF;
  const std::unique_ptr<Engine> reference = make_engine_torch(model_, interpreted);
  NoExchange none;
  for (const Graph &graph : graphs_)
    for (const bool forces : {true, false})
      expect_equal(evaluate(graph, forces), evaluate(*reference, graph.view(), none, forces), graph, graph.name);
}

// Programs that are compiled for sizes tend to take 0 and 1 for constants.
TEST_P(EngineAotTest, SmallestGraphs)
{
  const std::unique_ptr<Engine> reference = make_engine_torch(model_, {settings_.precision, Jit::OFF});
  NoExchange none;
  const std::vector<Vector> x{{0, 0, 0}, {0.9, 0.3, -0.2}};
  Graph one_way = lone_atoms({0, 1});
  one_way.add_edge(1, x[1]);
  one_way.first_edge = {0, 1, 1};
  for (const Graph &graph : {lone_atoms({}), lone_atoms({1}), one_way, graph_of({0, 1}, x, model_.cutoff)})
    for (const bool forces : {true, false})
      expect_equal(evaluate(graph, forces), evaluate(*reference, graph.view(), none, forces), graph,
                   std::to_string(graph.num_nodes()) + " atoms, " + std::to_string(graph.num_edges()) + " edges");
}

TEST_P(EngineAotTest, ThreadsChangeNothing)
{
  EngineSettings two = settings_;
  two.num_threads = 2;
  const std::unique_ptr<Engine> other = make(model_, two);
  EXPECT_THAT(other->description(), HasSubstr("jit aot, CPU, 2 threads"));
  NoExchange none;
  for (const Graph &graph : graphs_)
    expect_equal(evaluate(*other, graph.view(), none), evaluate(graph), graph, graph.name);
}

// The process's precision of products, and the thread's way to take gradients, may be what they like before a call, and are
// the same after it.
TEST_P(EngineAotTest, LeavesTheProcessItsSettings)
{
  const Graph &liquid = graph("liquid");
  at::globalContext().setFloat32MatmulPrecision("medium");
  const Output output = evaluate(liquid);
  EXPECT_EQ(at::globalContext().float32MatmulPrecision(), at::Float32MatmulPrecision::MEDIUM);
  at::globalContext().setFloat32MatmulPrecision("highest");
  expect_equal(output, stored(liquid), liquid, "medium outside");
  c10::AutogradState &autograd = c10::AutogradState::get_tls_state();
  for (const bool in_threads : {false, true}) {
    autograd.set_multithreading_enabled(in_threads);
    evaluate(liquid);
    EXPECT_EQ(autograd.get_multithreading_enabled(), in_threads);
  }
}

TEST_P(EngineAotTest, SaysWhatItIs)
{
  EXPECT_THAT(engine_->description(),
              testing::MatchesRegex("LibTorch [0-9.]+, precision fp(64|32|16), jit aot, CPU, 1 thread"));
  EXPECT_FALSE(engine_->exchanges_rows());
  EXPECT_EQ(engine_->max_bytes_per_row(), 0u);
}

// Two libraries with equal names inside are open at a time.
TEST_P(EngineAotTest, StandsBesideAnotherStudent)
{
  const auto &[other_student, other_settings] = settings_.precision == Precision::FP32 ? FP64 : FP32;
  const std::string here = std::get<std::string>(GetParam());
  const ModelFile other_model = read_model(other_student);
  const Graph &liquid = graph("liquid");
  NoExchange none;
  const std::unique_ptr<Engine> other = make(other_model, other_settings);
  Graph its_own = liquid;
  for (int &z : its_own.element) z %= static_cast<int>(other_model.elements.size());
  const Output others = evaluate(*other, its_own.view(), none);
  for (int round = 0; round < 3; ++round) {
    expect_equal(evaluate(liquid), stored(liquid), liquid, here);
    const Output again = evaluate(*other, its_own.view(), none);
    EXPECT_EQ(again.atom_energy, others.atom_energy);
    EXPECT_EQ(again.gradient, others.gradient);
  }
  EXPECT_NE(others.energy, evaluate(liquid).energy);
}

// test_aot_package.cpp has all reasons.
TEST_P(EngineAotTest, TakesNoPackageThatDoesNotFit)
{
  const std::string fits = package_of(model_, settings_);
  EngineSettings other_precision = settings_;
  other_precision.precision = Precision::BF16;
  EXPECT_THAT(refusal(fits, other_precision), HasSubstr("expected a student compiled for the precision"));
  EXPECT_THAT(refusal(fits + "x", settings_), HasSubstr("found no such file"));

  EngineSettings tf32 = settings_;
  tf32.precision = Precision::TF32;
  EXPECT_THAT(refusal(fits, tf32), HasSubstr("expected a GPU for 'precision tf32', found none"));

  const Records records = read_records(fits);
  const std::string path = testing::TempDir() + "mlff-unfit.pt2";
  const auto write = [&](const Records &some) {
    const std::vector<char> bytes = pack(some);
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  };
  Records changed = records;
  for (auto &[record, content] : changed)
    if (record.ends_with("_metadata.json")) {
      nlohmann::json metadata = nlohmann::json::parse(content);
      metadata["torch"] = "1.99.0+cpu";
      content = metadata.dump();
    }
  write(changed);
  EXPECT_THAT(
      refusal(path, settings_),
      AllOf(HasSubstr("expected a student compiled with Torch 2."), HasSubstr("found one compiled with 1.99.0")));

  changed = records;
  for (auto &[record, content] : changed)    // all but the metadata
    if (!record.ends_with(".json")) content = "no library";
  write(changed);
  EXPECT_THAT(refusal(path, settings_), AllOf(HasSubstr(path), HasSubstr("cannot open the compiled student")));
  std::filesystem::remove(path);
}

}    // namespace

INSTANTIATE_TEST_SUITE_P(Aot, ReferenceTest, PACKAGES, case_name);
INSTANTIATE_TEST_SUITE_P(Aot, DerivativeTest, testing::Values(FP64), case_name);
INSTANTIATE_TEST_SUITE_P(Aot, EngineTest, PACKAGES, case_name);
INSTANTIATE_TEST_SUITE_P(Aot, EngineAotTest, PACKAGES, case_name);

}    // namespace mlff
