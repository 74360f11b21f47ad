// The torch engine in each of its precisions and ways of running the program.

#include "engine_tests.h"

std::unique_ptr<mlff::Engine> make(const mlff::ModelFile &model, const mlff::EngineSettings &settings)
{
  return mlff::make_engine_torch(model, settings);
}

#include <gmock/gmock.h>

using mlff::EngineSettings;
using mlff::Jit;
using mlff::Precision;

namespace {

EngineSettings in_slices(EngineSettings settings, int chunk)
{
  settings.chunk = chunk;
  return settings;
}

const EngineSettings FP64_OFF{Precision::FP64, Jit::OFF}, FP64_FREEZE{Precision::FP64, Jit::FREEZE},
    FP32_FREEZE{Precision::FP32, Jit::FREEZE}, FP16_FREEZE{Precision::FP16, Jit::FREEZE};
// in slices, of which the last is smaller
const EngineSettings FP64_OFF_SLICES = in_slices(FP64_OFF, 5), FP32_FREEZE_SLICES = in_slices(FP32_FREEZE, 7);

std::vector<EngineSettings> all_settings()
{
  std::vector<EngineSettings> result{FP64_OFF_SLICES, FP32_FREEZE_SLICES};
  for (const Precision precision : {Precision::FP64, Precision::FP32, Precision::BF16, Precision::FP16})
    for (const Jit jit : {Jit::OFF, Jit::SCRIPT, Jit::FREEZE}) result.push_back({precision, jit});
  return result;
}

// In every setting the same program runs through the same code of ours, which differs by the type of rows and by
// slices alone. So all of them are compared with the stored reference, and one of each kind has to do all the rest.
const auto IN_DOUBLE = testing::Values(FP64_OFF, FP64_FREEZE);
const auto OF_EACH_KIND = testing::Values(FP64_OFF, FP64_FREEZE, FP32_FREEZE, FP64_OFF_SLICES);
const auto OF_EACH_KIND_OF_ROWS =
    testing::Values(FP64_OFF, FP32_FREEZE, FP16_FREEZE, FP64_OFF_SLICES, FP32_FREEZE_SLICES);

}    // namespace

INSTANTIATE_TEST_SUITE_P(Torch, ReferenceTest, testing::Combine(STUDENTS, testing::ValuesIn(all_settings())),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Torch, DerivativeTest, testing::Combine(STUDENTS, IN_DOUBLE), case_name);
INSTANTIATE_TEST_SUITE_P(Torch, EngineTest, testing::Combine(STUDENTS, OF_EACH_KIND), case_name);
INSTANTIATE_TEST_SUITE_P(Torch, ExchangeTest, testing::Combine(STUDENTS, OF_EACH_KIND_OF_ROWS), case_name);
// by hand (label matrix)
INSTANTIATE_TEST_SUITE_P(Matrix, EngineTest, testing::Combine(STUDENTS, testing::ValuesIn(all_settings())), case_name);
INSTANTIATE_TEST_SUITE_P(Matrix, ExchangeTest, testing::Combine(STUDENTS, testing::ValuesIn(all_settings())),
                         case_name);

TEST(EngineTorch, Tf32NeedsAGpu)
{
  const std::string path = reference_file("painn-tiny-v1.pt");
  const mlff::ModelFile model(mlff::ModelFile::read_bytes(path), path);
  try {
    make(model, {Precision::TF32});
    FAIL() << "expected an error, found none";
  } catch (const mlff::Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("expected a GPU for 'precision tf32', found none"));
  }
}

// Forces of atoms of the shipped student on a lump of its own kind of atoms, beside double precision: max |dF| / rms F.
// 16 bits stand in products and gathered rows alone, so an error is some ten roundings (2^-11, 2^-9) that partly cancel.
TEST(EngineTorch, SixteenBitsOnATrainedStudent)
{
  const std::string path = shipped_student("water-medium.pt");
  const mlff::ModelFile model(mlff::ModelFile::read_bytes(path), path);
  std::mt19937 random(5);
  std::uniform_real_distribution<double> jitter(-0.1, 0.1);
  std::vector<int> element;
  std::vector<mlff::Vector> x;
  for (int n = 0; n < 27; ++n) {    // molecules on a lattice of 3.1 A, each turned by its place
    const mlff::Vector o{3.1 * (n % 3), 3.1 * (n / 3 % 3), 3.1 * (n / 9)};
    const double turn = 2.4 * n;
    const auto add = [&](int z, double dx, double dy) {
      element.push_back(z);
      x.push_back({o[0] + dx + jitter(random), o[1] + dy + jitter(random), o[2] + jitter(random)});
    };
    add(model.element_index("O"), 0.0, 0.0);
    add(model.element_index("H"), 0.96 * std::cos(turn), 0.96 * std::sin(turn));
    add(model.element_index("H"), 0.96 * std::cos(turn + 1.82), 0.96 * std::sin(turn + 1.82));
  }
  const mlff::Graph graph = mlff::graph_of(element, x, model.cutoff);
  const auto forces = [&](Precision precision) {
    mlff::NoExchange none;
    const auto engine = make(model, {precision});
    const mlff::EdgeList edges = graph.view();
    const mlff::Result result = engine->compute(edges, {}, none);
    std::vector<double> f(3 * element.size());
    for (int i = 0; i < edges.num_centers; ++i)
      for (int e = edges.first_edge[i]; e < edges.first_edge[i + 1]; ++e)
        for (int a = 0; a < 3; ++a) {
          f[3 * i + a] += result.gradient[3 * e + a];
          f[3 * edges.neighbor[e] + a] -= result.gradient[3 * e + a];
        }
    return f;
  };
  const std::vector<double> exact = forces(Precision::FP64);
  const auto error = [&](Precision precision) {
    const std::vector<double> f = forces(precision);
    double largest = 0.0, square = 0.0;
    for (std::size_t i = 0; i < f.size(); ++i) {
      largest = std::max(largest, std::abs(f[i] - exact[i]));
      square += exact[i] * exact[i] / f.size();
    }
    const double result = largest / std::sqrt(square);
    std::printf("%s: %.2g\n", name_of(precision), result);
    return result;
  };
  EXPECT_LT(error(Precision::FP32), 1e-5);
  EXPECT_LT(error(Precision::FP16), 10 * std::exp2(-11));
  EXPECT_LT(error(Precision::BF16), 10 * std::exp2(-9));
}
