#include "keywords.h"

#include "mlff_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using mlff::Jit;
using mlff::parse_keywords;
using mlff::Precision;
using testing::HasSubstr;

namespace {

std::string message_for(const std::vector<std::string> &words)
{
  try {
    parse_keywords(words);
  } catch (const mlff::Error &error) {
    return error.what();
  }
  return "no error";
}

}    // namespace

TEST(Keywords, DefaultsArePrecisionFp32AndJitFreeze)
{
  const mlff::Keywords keywords = parse_keywords({});
  EXPECT_EQ(keywords.precision, Precision::FP32);
  EXPECT_EQ(keywords.jit, Jit::FREEZE);
}

TEST(Keywords, AreReadInAnyOrder)
{
  const mlff::Keywords keywords = parse_keywords({"jit", "off", "engine", "torch", "precision", "fp64"});
  EXPECT_EQ(keywords.precision, Precision::FP64);
  EXPECT_EQ(keywords.jit, Jit::OFF);
  EXPECT_EQ(parse_keywords({"jit", "script"}).jit, Jit::SCRIPT);
  for (const Precision precision : {Precision::TF32, Precision::BF16, Precision::FP16})
    EXPECT_EQ(parse_keywords({"precision", name_of(precision)}).precision, precision);
}

TEST(Keywords, UnknownKeywordIsNamedWithTheKnownOnes)
{
  EXPECT_THAT(message_for({"presicion", "fp64"}),
              HasSubstr("expected a keyword (engine, precision, jit, ghosts, chunk or check), found 'presicion'"));
}

TEST(Keywords, UnknownValueIsNamedWithTheKnownOnes)
{
  EXPECT_THAT(message_for({"precision", "double"}),
              HasSubstr("expected fp64, fp32, tf32, bf16 or fp16 after keyword 'precision', found 'double'"));
  EXPECT_THAT(message_for({"jit", "on"}),
              HasSubstr("expected off, script, freeze or aot after keyword 'jit', found 'on'"));
}

TEST(Keywords, MissingValueIsSaid)
{
  EXPECT_THAT(message_for({"engine", "torch", "jit"}), HasSubstr("after keyword 'jit', found the end of the command"));
}

TEST(Keywords, NumbersStandWhereTheyMay)
{
  EXPECT_EQ(parse_keywords({}).chunk, 0);
  EXPECT_EQ(parse_keywords({"chunk", "4096"}).chunk, 4096);
  EXPECT_EQ(parse_keywords({"chunk", "4096", "chunk", "auto"}).chunk, 0);
  for (const char *word : {"0", "-4", "12.5", "4k", "", "99999999999"})
    EXPECT_THAT(message_for({"chunk", word}), HasSubstr("expected auto or a positive number after keyword 'chunk'"));
  EXPECT_THAT(message_for({"precision", "64"}), HasSubstr("found '64'"));
}

TEST(Keywords, CheckKnowsWordsAndSteps)
{
  using When = mlff::Check::When;
  EXPECT_EQ(parse_keywords({}).check.when, When::AUTO);
  EXPECT_EQ(parse_keywords({"check", "off"}).check.when, When::OFF);
  EXPECT_EQ(parse_keywords({"check", "setup"}).check.when, When::SETUP);
  const mlff::Check every = parse_keywords({"check", "100"}).check;
  EXPECT_EQ(every.when, When::EVERY);
  EXPECT_EQ(every.every, 100);
  EXPECT_THAT(message_for({"check", "on"}),
              HasSubstr("expected auto, off, setup or a positive number after keyword 'check', found 'on'"));
}

TEST(Keywords, CompiledStudentsRunAsAWhole)
{
  EXPECT_EQ(parse_keywords({"jit", "aot", "ghosts", "halo", "chunk", "auto"}).jit, Jit::AOT);
  EXPECT_THAT(
      message_for({"jit", "aot", "ghosts", "exchange"}),
      HasSubstr(
          "with 'ghosts exchange', found 'jit aot': a compiled student runs as a whole. Use 'ghosts auto' or 'halo'."));
  EXPECT_THAT(message_for({"chunk", "100", "jit", "aot"}), HasSubstr("with 'chunk 100', found 'jit aot'"));
}

TEST(Keywords, WhatComesLaterSaysSo)
{
  EXPECT_THAT(
      message_for({"graph", "auto"}),
      HasSubstr("keyword 'graph' is planned for a later version of this plugin and does nothing yet. Remove it;"));
  EXPECT_THAT(message_for({"engine", "fused"}), HasSubstr("'engine fused' is planned for a later version"));
}
