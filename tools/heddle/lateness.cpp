// SPDX-License-Identifier: MIT
#include "lateness.h"

#include <algorithm>

namespace tool {

using heddle::detail::seeing::address;
using heddle::detail::seeing::program;

namespace {

constexpr std::size_t most_buckets = 8 * 64;

/// The shortest time that a bucket counts. Those below 8 ns have a bucket each.
std::uint64_t begin_of(std::size_t bucket) {
  return bucket < 8 ? bucket : (8 + bucket % 8) << (bucket / 8 - 1);
}

}  // namespace

lateness lateness::of(const program& from, address loop) {
  lateness seen;
  const auto& at = from.at();
  std::uint64_t measures = 0;
  const std::size_t n = at.measured_lag.size / sizeof(std::uint64_t);
  if (n == 0 || n > most_buckets || !from.load(from.mem(), loop, at.worker_measures, measures) ||
      measures == 0)
    return seen;
  seen.counts_.resize(n);
  if (!from.mem().read(measures + at.measured_lag.at, seen.counts_.data(),
                       n * sizeof(std::uint64_t)))
    seen.counts_.clear();
  return seen;
}

bool lateness::p99_since(const lateness& earlier, std::uint64_t& to) const {
  const bool counts_before = counts_.size() == earlier.counts_.size();
  const auto since = [&](std::size_t i) {
    return counts_[i] - (counts_before ? std::min(counts_[i], earlier.counts_[i]) : 0);
  };
  std::uint64_t all = 0, seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) all += since(i);
  if (all == 0) return false;
  std::size_t i = 0;
  while ((seen += since(i)) < all - all / 100) ++i;
  to = begin_of(i) + (begin_of(i + 1) - begin_of(i)) / 2;
  return true;
}

std::uint64_t overdue_in(const program& from, address loop, std::uint64_t now) {
  const auto& at = from.at();
  std::uint64_t size = 0, heap = 0, deadline = 0;
  if (at.worker_timers.size == 0 || !from.load(from.mem(), loop, at.timers_size, size) ||
      size == 0 || !from.load(from.mem(), loop + at.worker_timers.at, {at.heap.at, 8}, heap) ||
      !from.load(from.mem(), heap, at.entry_deadline, deadline))
    return 0;
  return now > deadline ? now - deadline : 0;
}

}  // namespace tool
