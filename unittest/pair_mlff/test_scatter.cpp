#include "scatter.h"

#include <gtest/gtest.h>

#include <vector>

namespace {

// Two centers, one ghost node; each edge has a gradient of its own.
struct Example {
  std::vector<int> element{0, 0, 0}, first_edge{0, 2, 3}, neighbor{1, 2, 0};
  std::vector<double> rij{1.0, 0.5, -0.2, 0.3, -0.7, 0.9, -1.0, -0.5, 0.2};
  std::vector<double> gradient{0.1, 0.2, 0.3, -0.4, 0.5, -0.6, 0.7, -0.8, 0.9};
  mlff::EdgeList edges{2, 2, 3, 3, element.data(), first_edge.data(), neighbor.data(), rij.data()};
};

}    // namespace

TEST(Scatter, ForcesArePlusOnTheCenterAndMinusOnTheNeighbor)
{
  const Example e;
  std::vector<double> force(9, 0.0);
  mlff::scatter_edges(e.edges, e.gradient.data(), {force.data(), 3, nullptr});
  const std::vector<double> expected{0.1 - 0.4 - 0.7,
                                     0.2 + 0.5 + 0.8,
                                     0.3 - 0.6 - 0.9,    // edges 0, 1 from it, 2 to it
                                     0.7 - 0.1,
                                     -0.8 - 0.2,
                                     0.9 - 0.3,    //
                                     0.4,
                                     -0.5,
                                     0.6};
  for (int k = 0; k < 9; ++k) EXPECT_NEAR(force[k], expected[k], 1e-15);
}

TEST(Scatter, AddsToWhatIsThere)
{
  const Example e;
  std::vector<double> force(9, 10.0);
  double virial[6] = {5, 5, 5, 5, 5, 5};
  mlff::scatter_edges(e.edges, e.gradient.data(), {force.data(), 3, virial});
  double sum = 0.0;
  for (double f : force) sum += f;
  EXPECT_NEAR(sum, 90.0, 1e-13);    // forces sum to zero
  EXPECT_NE(virial[0], 5.0);
}

TEST(Scatter, VirialIsMinusRTimesGradientInLammpsOrder)
{
  const Example e;
  std::vector<double> force(9, 0.0);
  double virial[6] = {};
  mlff::scatter_edges(e.edges, e.gradient.data(), {force.data(), 3, virial});
  const int row[6] = {0, 1, 2, 0, 0, 1}, column[6] = {0, 1, 2, 1, 2, 2};
  for (int c = 0; c < 6; ++c) {
    double expected = 0.0;
    for (int n = 0; n < 3; ++n) expected -= e.rij[3 * n + row[c]] * e.gradient[3 * n + column[c]];
    EXPECT_NEAR(virial[c], expected, 1e-15);
  }
}

TEST(Scatter, AtomVirialsSumToTheGlobalOneAndHaveNineComponents)
{
  const Example e;
  std::vector<double> share(36, 0.0);
  double virial[6] = {};
  mlff::scatter_edges(e.edges, e.gradient.data(), {share.data(), 12, virial});
  for (int c = 0; c < 6; ++c) EXPECT_NEAR(share[3 + c] + share[15 + c] + share[27 + c], virial[c], 1e-15);
  // yx of the ghost: half of -(r_y g_x) of the one edge that reaches it
  EXPECT_NEAR(share[24 + 3 + 6], -0.5 * (-0.7) * (-0.4), 1e-15);
}
