// The engine of custom modules. The shared body runs on the forward() of the reference students, which is such a module;
// the rest on modules of a few lines that do one thing wrong.

#include "engine_tests.h"

// The student as a file would hold it that knows nothing but its forward(), which adds the reference energies itself.
std::unique_ptr<mlff::Engine> make(const mlff::ModelFile &model, const mlff::EngineSettings &settings)
{
  mlff::ModelFile custom = model;
  custom.kind = "custom";
  custom.precisions = {"fp64", "fp32"};
  custom.reference_energies.assign(model.elements.size(), 0.0);
  return mlff::make_engine_custom(custom, settings);
}

#include "student_records.h"

#include <gmock/gmock.h>
#include <torch/script.h>

namespace mlff {

namespace {

using json = nlohmann::ordered_json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string PATH = "folder/own.pt";

// ---------------------------------------------------------------- files

json custom_header()
{
  return {{"format", "mlff"},
          {"format_version", 1},
          {"kind", "custom"},
          {"name", "own"},
          {"num_interactions", 1},
          {"num_parameters", 3},
          {"cutoff", 2.0},
          {"elements", {"H", "O"}},
          {"atomic_numbers", {1, 8}},
          {"reference_energies", {-1.5, -20.25}},
          {"length_unit", "Angstrom"},
          {"energy_unit", "eV"},
          {"dtype", "float64"},
          {"precisions", {"fp64", "fp32"}}};
}

Records records_of(const torch::jit::Module &module)
{
  const std::string path = testing::TempDir() + "mlff-own.pt";
  module.save(path);
  const Records records = read_records(path);
  std::remove(path.c_str());
  return records;
}

std::vector<char> file_of(const torch::jit::Module &module, const json &header)
{
  return pack(sealed(records_of(module), header));
}

// Pairs (cutoff - d)^3 / 6 with a factor for each element, a parameter; and a buffer of integers, as tables of indices are.
torch::jit::Module module_of(const std::string &forward)
{
  torch::jit::Module module("own");
  module.register_parameter("factor", torch::tensor({0.3, -0.7}, at::kDouble), false);
  module.register_parameter("slope", torch::tensor({2.0}, at::kDouble), false);
  module.register_buffer("index", torch::tensor({0, 1}, at::kLong));
  module.define(forward);
  return module;
}

const std::string PAIRS = R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
    x = 2.0 - torch.sqrt((rij * rij).sum(1))
    kind = self.index[element]
    energy = self.slope * self.factor[kind[center]] * self.factor[kind[neighbor]] * x * x * x / 6.0
    return torch.zeros([element.size(0)], dtype=rij.dtype, device=rij.device).index_add(0, center, energy)
)";

ModelFile student_of(const std::string &forward, const json &header = custom_header())
{
  return ModelFile(file_of(module_of(forward), header), PATH);
}

template <class Action> std::string message_of(Action action)
{
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

Graph pair_and_lone()
{
  Graph graph = graph_of({0, 1, 1}, {{{0, 0, 0}, {0.6, -1.0, 0.3}, {9, 0, 0}}}, 2.0);
  return graph;
}

Output outcome(Engine &engine, const Graph &graph, bool forces = true)
{
  NoExchange none;
  const EdgeList edges = graph.view();
  const Result result = engine.compute(edges, {forces}, none);
  Output output;
  output.atom_energy.assign(result.atom_energy, result.atom_energy + edges.num_centers);
  EXPECT_EQ(result.gradient != nullptr, forces && edges.num_edges > 0);
  for (int e = 0; forces && e < edges.num_edges; ++e)
    output.gradient.push_back({result.gradient[3 * e], result.gradient[3 * e + 1], result.gradient[3 * e + 2]});
  return output;
}

// ---------------------------------------------------------------- the engine on modules that are right

// By hand: E_i = slope f_i f_j (2 - d)^3 / 6 + reference, dE_i/dr = -slope f_i f_j (2 - d)^2 / 2 r / d.
TEST(EngineCustom, GivesTheModulesEnergiesWithReferencesAndTheirGradient)
{
  const ModelFile model = student_of(PAIRS);
  EXPECT_EQ(model.num_parameters, 3);
  EXPECT_TRUE(model.weights.empty());
  const Graph graph = pair_and_lone();
  const double d = std::hypot(0.6, 1.0, 0.3), product = 2.0 * 0.3 * -0.7;
  const double energy = product * std::pow(2.0 - d, 3) / 6.0, slope = -product * std::pow(2.0 - d, 2) / 2.0;
  for (const Precision precision : {Precision::FP64, Precision::FP32})
    for (const Jit jit : {Jit::OFF, Jit::SCRIPT, Jit::FREEZE}) {
      const auto engine = make_engine(model, {precision, jit});
      // a few roundings of values of order one; references are added in double in either
      const double tolerance = precision == Precision::FP64 ? 1e-14 : 1e-6;
      for (int round = 0; round < 3; ++round) {
        const Output output = outcome(*engine, graph);
        EXPECT_NEAR(output.atom_energy[0], energy - 1.5, tolerance);
        EXPECT_NEAR(output.atom_energy[1], energy - 20.25, tolerance);
        EXPECT_EQ(output.atom_energy[2], -20.25);
        for (int e = 0; e < 2; ++e)
          for (int a = 0; a < 3; ++a) EXPECT_NEAR(output.gradient[e][a], slope * graph.rij[e][a] / d, tolerance);
        EXPECT_EQ(outcome(*engine, graph, false).atom_energy, output.atom_energy);
      }
      EXPECT_EQ(outcome(*engine, lone_atoms({1, 0})).atom_energy, (std::vector<double>{-20.25, -1.5}));
    }
}

TEST(EngineCustom, SaysWhatItIs)
{
  const auto engine = make_engine(student_of(PAIRS), {});
  EXPECT_THAT(engine->description(),
              testing::MatchesRegex("LibTorch [0-9.]+, precision fp32, jit freeze, CPU, 1 thread"));
  EXPECT_FALSE(engine->exchanges_rows());
  EXPECT_EQ(engine->max_bytes_per_row(), 0u);
  EXPECT_GT(engine->free_bytes(), 0.0);
}

// The module raises an error as soon as anybody asks for gradients.
TEST(EngineCustom, EnergyAloneRecordsNothing)
{
  const auto engine = make_engine(student_of(R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
    assert not rij.requires_grad, "recorded"
    return torch.zeros([element.size(0)], dtype=rij.dtype)
)"),
                                  {Precision::FP64, Jit::OFF});
  EXPECT_EQ(outcome(*engine, lone_atoms({0}), false).atom_energy, std::vector<double>{-1.5});
  EXPECT_THAT(message_of([&] { outcome(*engine, pair_and_lone(), true); }), HasSubstr("recorded"));
}

// A module that cannot take an empty graph is never asked about one.
TEST(EngineCustom, NoAtomsAreNoMatterForTheModule)
{
  const auto engine = make_engine(student_of(R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
    return element.to(rij.dtype) / element.max()
)"),
                                  {});
  EXPECT_TRUE(outcome(*engine, lone_atoms({})).atom_energy.empty());
}

// 16 bits: parameters are narrow, edge vectors and buffers are not, and the file says that the module knows it.
TEST(EngineCustom, SixteenBitsAreTheModulesOwnMatter)
{
  json header = custom_header();
  header["precisions"] = {"fp64", "fp16"};
  const std::string program = R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
    if rij.element_size() != 4 or self.factor.element_size() != 2 or self.index.element_size() != 8:
        assert False, "types"
    x = 2.0 - torch.sqrt((rij * rij).sum(1))
    energy = self.slope.to(rij.dtype) * x * x * x / 6.0
    return torch.zeros([element.size(0)], dtype=rij.dtype).index_add(0, center, energy)
)";
  const Graph graph = pair_and_lone();
  const auto engine = make_engine(student_of(program, header), {Precision::FP16});
  const Output output = outcome(*engine, graph);
  const double d = std::hypot(0.6, 1.0, 0.3);
  EXPECT_NEAR(output.atom_energy[0], std::pow(2.0 - d, 3) / 3.0 - 1.5, 1e-6);    // slope = 2 is exact in fp16
  EXPECT_NEAR(output.gradient[0][1], std::pow(2.0 - d, 2) / d, 1e-6);
}

// ---------------------------------------------------------------- which engine

TEST(MakeEngine, ChoosesByKindAndSettings)
{
  const ModelFile built_in(ModelFile::read_bytes(GOOD), GOOD), custom = student_of(PAIRS);
  EXPECT_TRUE(make_engine(built_in, {})->exchanges_rows());
  EXPECT_FALSE(make_engine(custom, {})->exchanges_rows());
  EXPECT_THAT(message_of([&] { make_engine(built_in, {Precision::FP32, Jit::AOT}); }), HasSubstr(".pt2"));
}

TEST(MakeEngine, TheExactOneIsInDoubleThroughTheInterpreter)
{
  const ModelFile built_in(ModelFile::read_bytes(GOOD), GOOD), custom = student_of(PAIRS);
  EngineSettings settings{Precision::FP32, Jit::AOT};
  for (const ModelFile *model : {&built_in, &custom}) {
    const auto exact = make_exact_engine(*model, settings, 64);
    EXPECT_THAT(exact->description(), HasSubstr("precision fp64, jit off"));
    EXPECT_EQ(exact->most_centers_at_once(), model->is_custom() ? 0 : 64);
  }
}

// ---------------------------------------------------------------- refusals by name

TEST(EngineCustom, RefusesWhatItCannotDo)
{
  const ModelFile model = student_of(PAIRS);
  const auto refusal = [&](Precision precision, Jit jit, int chunk) {
    EngineSettings settings{precision, jit};
    settings.chunk = chunk;
    return message_of([&] { make_engine(model, settings); });
  };
  EXPECT_THAT(refusal(Precision::FP32, Jit::AOT, 0), AllOf(HasSubstr(PATH), HasSubstr("'jit aot'")));
  EXPECT_THAT(refusal(Precision::FP32, Jit::FREEZE, 7), AllOf(HasSubstr(PATH), HasSubstr("'chunk 7'")));
  for (const Precision narrow : {Precision::FP16, Precision::BF16})
    EXPECT_THAT(
        refusal(narrow, Jit::FREEZE, 0),
        AllOf(HasSubstr(PATH), HasSubstr("which are fp64 fp32, found 'precision "), HasSubstr(name_of(narrow))));
  EXPECT_THAT(refusal(Precision::TF32, Jit::FREEZE, 0), HasSubstr("expected a GPU for 'precision tf32', found none"));
}

struct BrokenModule {
  const char *name, *forward, *words;
};

class BrokenModules : public testing::TestWithParam<BrokenModule> {};

TEST_P(BrokenModules, AreExplained)
{
  const Graph graph = pair_and_lone();
  const ModelFile model = student_of(GetParam().forward);
  for (const Jit jit : {Jit::OFF, Jit::FREEZE})
    EXPECT_THAT(message_of([&] {
                  const auto engine = make_engine(model, {Precision::FP64, jit});
                  outcome(*engine, graph);
                }),
                AllOf(HasSubstr(PATH), HasSubstr(GetParam().words)));
}

INSTANTIATE_TEST_SUITE_P(
    All, BrokenModules,
    testing::Values(BrokenModule{"no_forward", R"(
def energies(self, element: Tensor) -> Tensor:
    return element
)",
                                 "found one without forward"},
                    BrokenModule{"other_arguments", R"(
def forward(self, positions: Tensor, element: Tensor) -> Tensor:
    return positions
)",
                                 "forward(element, center, neighbor, rij), found forward("},
                    BrokenModule{"raises", R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
    assert element.size(0) == 0, "no such charge state"
    return rij
)",
                                 "the student's module failed: AssertionError: no such charge state"},
                    BrokenModule{"shapes_do_not_fit", R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
    return (rij @ rij).sum(1)
)",
                                 "the student's module failed: "},
                    BrokenModule{"one_energy", R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
    return rij.sum()
)",
                                 "numbers [3], one for each atom, found [] of type Double"},
                    BrokenModule{"column", R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
    return torch.zeros([element.size(0), 1]) + rij.sum()
)",
                                 "numbers [3], one for each atom, found [3, 1] of type"},
                    BrokenModule{"integers", R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
    return element
)",
                                 "found [3] of type Long"},
                    BrokenModule{"tuple", R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tuple[Tensor, Tensor]:
    return element, rij
)",
                                 "one for each atom, found a "},
                    BrokenModule{"constant", R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
    return torch.zeros([element.size(0)], dtype=rij.dtype) + 1.0
)",
                                 "expected the module's energies to depend on rij in a way that autograd can follow"},
                    BrokenModule{
                        "lack_of_memory", R"(
def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
    return torch.zeros([1000000000000], dtype=rij.dtype) + rij.sum()
)",
                        "expected memory for 3 atoms and 2 edges at once, found too little. Use more ranks or GPUs"}),
    [](const auto &info) { return std::string(info.param.name); });

TEST(EngineCustom, ParametersOfAnotherLibraryAreALoadError)
{
  Records records = read_records(GOOD);
  for (auto &[record, content] : records)    // an operator that no LibTorch has
    if (record.ends_with(".py"))
      for (std::size_t at; (at = content.find("torch.silu")) != std::string::npos;)
        content.replace(at, 10, "torch.sulu");
  const ModelFile model(pack(sealed(records, custom_header())), PATH);
  EXPECT_THAT(message_of([&] { make_engine(model, {}); }),
              AllOf(HasSubstr(PATH), HasSubstr("cannot load the student's program")));
}

// PAIRS times a tensor that the program holds as a constant.
torch::jit::Module module_with_constant()
{
  torch::jit::Module module = module_of(PAIRS);
  const auto graph = module.get_method("forward").graph();
  torch::jit::WithInsertPoint at(graph->return_node());
  torch::jit::Value *constant = graph->insertConstant(torch::tensor({1.0}, at::kDouble));
  graph->return_node()->replaceInput(0, graph->insert(at::aten::mul, {graph->outputs()[0], constant}));
  return module;
}

TEST(EngineCustom, RecordCutShortIsALoadError)
{
  const Records whole = records_of(module_with_constant());
  make_engine(ModelFile(pack(sealed(whole, custom_header())), PATH), {});
  for (const std::string record : {"data/0", "data/2", "constants/0"}) {
    ASSERT_TRUE(whole.count(record)) << record;
    Records records = whole;
    records[record].resize(4);
    const ModelFile model(pack(sealed(records, custom_header())), PATH);
    EXPECT_THAT(message_of([&] { make_engine(model, {}); }),
                AllOf(HasSubstr(PATH), HasSubstr("bytes for a tensor of the student's program, found one of 4.")));
  }
}

// ---------------------------------------------------------------- the file

TEST(CustomFile, IsRead)
{
  const ModelFile model = student_of(PAIRS);
  EXPECT_TRUE(model.is_custom());
  EXPECT_EQ(model.num_interactions, 1);
  EXPECT_EQ(model.cutoff, 2.0);
  EXPECT_EQ(model.dtype, "float64");
  EXPECT_THAT(model.elements, ElementsAre("H", "O"));
  EXPECT_THAT(model.precisions, ElementsAre("fp64", "fp32"));
  EXPECT_THAT(model.reference_energies, ElementsAre(-1.5, -20.25));
}

TEST(CustomFile, MissingFieldsAreNamed)
{
  const torch::jit::Module module = module_of(PAIRS);
  for (const char *field : {"name", "num_interactions", "cutoff", "elements", "atomic_numbers", "reference_energies",
                            "length_unit", "energy_unit", "dtype", "precisions"}) {
    json header = custom_header();
    header.erase(field);
    EXPECT_THAT(message_of([&] { ModelFile(file_of(module, header), PATH); }),
                AllOf(HasSubstr("lacks the field"), HasSubstr(std::string("'") + field + "'")));
  }
}

TEST(CustomFile, WrongFieldsAreNamed)
{
  const torch::jit::Module module = module_of(PAIRS);
  const std::vector<std::tuple<const char *, json, const char *>> cases = {
      {"kind", "mine", "\"painn\" or \"custom\""},
      {"num_interactions", 0, "at least 1"},
      {"cutoff", -1.0, "positive"},
      {"dtype", "float16", "\"float32\" or \"float64\""},
      {"precisions", json::array(), "with \"fp64\" among them"},
      {"precisions", {"fp32"}, "with \"fp64\" among them"},
      {"precisions", {"fp64", "int8"}, "\"fp64\", \"fp32\", \"bf16\", \"fp16\""},
      {"precisions", {"fp64", "fp64"}, "a list of some of"},
      {"precisions", {"fp64", 32}, "a list of some of"},
      {"precisions", "fp64", "a list of some of"},
      {"num_parameters", -1, "at least 0"},
      {"reference_energies", {1.0}, "2 elements"},
  };
  for (const auto &[field, value, words] : cases) {
    json header = custom_header();
    header[field] = value;
    EXPECT_THAT(message_of([&] { ModelFile(file_of(module, header), PATH); }),
                AllOf(HasSubstr(PATH), HasSubstr(std::string("'") + field + "'"), HasSubstr(words)));
  }
}

std::vector<EngineSettings> all_settings()
{
  std::vector<EngineSettings> result;
  for (const Precision precision : {Precision::FP64, Precision::FP32})
    for (const Jit jit : {Jit::OFF, Jit::SCRIPT, Jit::FREEZE}) result.push_back({precision, jit});
  return result;
}

const auto EXACT = testing::Values(EngineSettings{Precision::FP64, Jit::OFF});
const auto OWN_PATHS = testing::Values(EngineSettings{Precision::FP64, Jit::OFF}, EngineSettings{Precision::FP32});

}    // namespace

INSTANTIATE_TEST_SUITE_P(Custom, ReferenceTest, testing::Combine(STUDENTS, testing::ValuesIn(all_settings())),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Custom, DerivativeTest, testing::Combine(STUDENTS, EXACT), case_name);
INSTANTIATE_TEST_SUITE_P(Custom, EngineTest, testing::Combine(STUDENTS, OWN_PATHS), case_name);

}    // namespace mlff
