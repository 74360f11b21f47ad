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
              HasSubstr("expected a keyword (engine, precision or jit), found 'presicion'"));
}

TEST(Keywords, UnknownValueIsNamedWithTheKnownOnes)
{
  EXPECT_THAT(message_for({"precision", "double"}),
              HasSubstr("expected fp64, fp32, tf32, bf16 or fp16 after keyword 'precision', found 'double'"));
  EXPECT_THAT(message_for({"jit", "on"}), HasSubstr("expected off, script or freeze after keyword 'jit', found 'on'"));
}

TEST(Keywords, MissingValueIsSaid)
{
  EXPECT_THAT(message_for({"engine", "torch", "jit"}), HasSubstr("after keyword 'jit', found the end of the command"));
}

TEST(Keywords, WhatComesLaterSaysSo)
{
  for (const char *keyword : {"ghosts", "graph", "chunk", "check"})
    EXPECT_THAT(message_for({keyword, "auto"}), HasSubstr(std::string("keyword '") + keyword + "' is planned"));
  EXPECT_THAT(message_for({"engine", "fused"}), HasSubstr("'engine fused' is planned for a later version"));
  EXPECT_THAT(message_for({"jit", "aot"}), HasSubstr("Use off, script or freeze instead"));
}
