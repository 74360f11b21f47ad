// The torch engine in each of its precisions and ways of running the program.

#include "engine_tests.h"

std::unique_ptr<mlff::Engine> make(const mlff::ModelFile &model, const mlff::EngineSettings &settings)
{
  return mlff::make_engine_torch(model, settings);
}

using mlff::EngineSettings;
using mlff::Jit;
using mlff::Precision;

INSTANTIATE_TEST_SUITE_P(Torch, EngineTest,
                         testing::Combine(STUDENTS,
                                          testing::Values(EngineSettings{Precision::FP64, Jit::OFF, 1},
                                                          EngineSettings{Precision::FP64, Jit::SCRIPT, 1},
                                                          EngineSettings{Precision::FP64, Jit::FREEZE, 1},
                                                          EngineSettings{Precision::FP32, Jit::OFF, 1},
                                                          EngineSettings{Precision::FP32, Jit::SCRIPT, 1},
                                                          EngineSettings{Precision::FP32, Jit::FREEZE, 1})),
                         name_of);
