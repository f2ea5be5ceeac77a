// SPDX-License-Identifier: MIT
#include <heddle/sched/duration_histogram.h>

#include <algorithm>
#include <bit>
#include <numeric>

namespace heddle {

std::size_t duration_histogram::bucket(std::uint64_t ns) noexcept {
  if (ns < 8) return static_cast<std::size_t>(ns);
  const auto exponent = static_cast<unsigned>(std::bit_width(ns)) - 4;  // ns >> exponent is 8 to 15
  const auto index =
      8 * static_cast<std::size_t>(exponent) + static_cast<std::size_t>(ns >> exponent);
  return std::min(index, size - 1);
}

std::uint64_t duration_histogram::begin_of(std::size_t bucket) noexcept {
  if (bucket < 8) return bucket;
  return (8 + bucket % 8) << (bucket / 8 - 1);
}

void duration_histogram::add(duration time, std::uint64_t times) {
  if (counts.empty()) counts.resize(size);
  const auto ns = static_cast<std::uint64_t>(std::max(time, duration::zero()).count());
  counts[bucket(ns)] += times;
  total_ns += ns * times;
}

std::uint64_t duration_histogram::count() const noexcept {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::uint64_t duration_histogram::count_below(std::uint64_t ns) const noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < counts.size() && end_of(i) <= ns; ++i) sum += counts[i];
  return sum;
}

duration duration_histogram::percentile(double share) const noexcept {
  const auto all = static_cast<double>(count());
  if (all == 0) return duration::zero();
  double seen = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    at = i;
    seen += static_cast<double>(counts[i]);
    if (seen >= share * all) break;
  }
  const auto begin = begin_of(at);
  return duration(static_cast<std::int64_t>(begin + (end_of(at) - begin) / 2));
}

duration_histogram& duration_histogram::operator+=(const duration_histogram& other) {
  if (counts.size() < other.counts.size()) counts.resize(other.counts.size());
  for (std::size_t i = 0; i < other.counts.size(); ++i) counts[i] += other.counts[i];
  total_ns += other.total_ns;
  return *this;
}

duration_histogram& duration_histogram::operator-=(const duration_histogram& earlier) {
  if (counts.size() < earlier.counts.size()) counts.resize(earlier.counts.size());
  for (std::size_t i = 0; i < earlier.counts.size(); ++i) counts[i] -= earlier.counts[i];
  total_ns -= earlier.total_ns;
  return *this;
}

}  // namespace heddle
