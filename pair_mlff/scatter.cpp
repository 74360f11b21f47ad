#include "scatter.h"

namespace mlff {

void scatter_edges(const EdgeList &edges, const double *gradient, const Scatter &to)
{
  // row and column of each component, in LAMMPS's order
  constexpr int ROW[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2};
  constexpr int COLUMN[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};

  double virial[6] = {};
  for (int i = 0; i < edges.num_centers; ++i) {
    double *share_i = to.share + static_cast<long>(i) * to.width;
    for (int e = edges.first_edge[i]; e < edges.first_edge[i + 1]; ++e) {
      const double *r = edges.rij + 3L * e;
      const double *g = gradient + 3L * e;
      double *share_j = to.share + static_cast<long>(edges.neighbor[e]) * to.width;
      for (int a = 0; a < 3; ++a) {
        share_i[a] += g[a];
        share_j[a] -= g[a];
      }
      for (int c = 0; c < 6; ++c) virial[c] -= r[ROW[c]] * g[COLUMN[c]];
      if (to.width == 3) continue;
      for (int c = 0; c < 9; ++c) {
        const double half = -0.5 * r[ROW[c]] * g[COLUMN[c]];
        share_i[3 + c] += half;
        share_j[3 + c] += half;
      }
    }
  }
  if (to.virial)
    for (int c = 0; c < 6; ++c) to.virial[c] += virial[c];
}

}    // namespace mlff
