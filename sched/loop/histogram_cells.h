// SPDX-License-Identifier: MIT
// Internal to sched.
// A duration_histogram that one thread at a time writes, and that any thread reads meanwhile.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sched/duration_histogram.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// Two and a half KiB. Cells only grow, so a reader that looks twice never sees one fall.
class histogram_cells {
 public:
  /// By its writer: an addition to two cells, and no locked operation.
  void add(duration time, std::uint64_t times = 1) noexcept {
    const auto ns = static_cast<std::uint64_t>(std::max(time, duration::zero()).count());
    bump(counts_[duration_histogram::bucket(ns)], times);
    bump(total_ns_, ns * times);
  }
  /// From any thread. What is counted meanwhile may be missing. Throws std::bad_alloc.
  void add_to(duration_histogram& sum) const {
    if (sum.counts.empty()) sum.counts.resize(duration_histogram::size);
    for (std::size_t i = 0; i < counts_.size(); ++i) sum.counts[i] += counts_[i].load(relaxed);
    sum.total_ns += total_ns_.load(relaxed);
  }

 private:
  template <class>
  friend struct layout_of;

  std::array<atomic<std::uint64_t>, duration_histogram::size> counts_{};
  atomic<std::uint64_t> total_ns_{0};
};

}  // namespace heddle::detail
