// An engine for tests: it writes the graph that it receives to edges.txt and has no forces. Each line: center, neighbor
// (node indices), element of the neighbor, r_ij in Å.
#pragma once

#include "engine.h"

#include <cstdio>
#include <memory>
#include <vector>

class EngineDump : public mlff::Engine {
 public:
  mlff::Result compute(const mlff::EdgeList &edges, const mlff::Request &, mlff::GhostExchange &) override
  {
    FILE *file = std::fopen("edges.txt", "w");
    for (int c = 0; c < edges.num_centers; ++c)
      for (int e = edges.first_edge[c]; e < edges.first_edge[c + 1]; ++e) {
        const double *r = edges.rij + 3L * e;
        std::fprintf(file, "%d %d %d %.17g %.17g %.17g\n", c, edges.neighbor[e], edges.element[edges.neighbor[e]], r[0],
                     r[1], r[2]);
      }
    std::fclose(file);
    zero_.assign(3L * edges.num_edges + edges.num_centers + 1, 0.0);
    return {zero_.data(), zero_.data()};
  }
  void warm_up(const mlff::EdgeList &) override {}
  std::size_t peak_bytes() const override { return 0; }
  double free_bytes() const override { return 0.0; }
  std::size_t max_bytes_per_row() const override { return sizeof(double); }
  std::string description() const override { return "writes edges.txt"; }
  Times times() const override { return {}; }
  void reset_times() override {}

 private:
  std::vector<double> zero_;
};

// A pair style with that engine.
template <class Style> class WithEngineDump : public Style {
 public:
  using Style::Style;

 protected:
  std::unique_ptr<mlff::Engine> make_engine(const mlff::ModelFile &, const mlff::EngineSettings &) override
  {
    return std::make_unique<EngineDump>();
  }
};
