// An engine for tests that does all that another one does; what a test changes, it overrides.
#pragma once

#include "engine.h"

#include <memory>
#include <string>

class ForwardingEngine : public mlff::Engine {
 public:
  explicit ForwardingEngine(std::unique_ptr<mlff::Engine> other) : other_(std::move(other)) {}

  mlff::Result compute(const mlff::EdgeList &edges, const mlff::Request &request, mlff::GhostExchange &ghosts) override
  {
    return other_->compute(edges, request, ghosts);
  }
  void warm_up(const mlff::EdgeList &edges) override { other_->warm_up(edges); }
  std::size_t peak_bytes() const override { return other_->peak_bytes(); }
  double free_bytes() const override { return other_->free_bytes(); }
  void limit_memory(double bytes) override { other_->limit_memory(bytes); }
  int most_centers_at_once() const override { return other_->most_centers_at_once(); }
  double bytes_per_center_in_slices() const override { return other_->bytes_per_center_in_slices(); }
  std::string take_notice() override { return other_->take_notice(); }
  bool exchanges_rows() const override { return other_->exchanges_rows(); }
  std::size_t max_bytes_per_row() const override { return other_->max_bytes_per_row(); }
  std::string description() const override { return other_->description(); }
  Times times() const override { return other_->times(); }
  void reset_times() override { other_->reset_times(); }

 private:
  std::unique_ptr<mlff::Engine> other_;
};
