// SPDX-License-Identifier: MIT
#include <heddle/io/http/server_stats.h>

#include <algorithm>
#include <bit>
#include <numeric>

namespace heddle::http {

std::size_t latency_histogram::bucket(std::uint64_t ns) noexcept {
  if (ns < 8) return static_cast<std::size_t>(ns);
  const auto exponent = static_cast<unsigned>(std::bit_width(ns)) - 4;  // ns >> exponent is 8 to 15
  const auto index =
      8 * static_cast<std::size_t>(exponent) + static_cast<std::size_t>(ns >> exponent);
  return std::min(index, size - 1);
}

std::uint64_t latency_histogram::upper_end(std::size_t bucket) noexcept {
  if (bucket < 8) return bucket;
  const auto exponent = bucket / 8 - 1;
  return ((8 + bucket % 8 + 1) << exponent) - 1;
}

std::uint64_t latency_histogram::total() const noexcept {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::uint64_t latency_histogram::percentile(double share) const noexcept {
  const auto all = static_cast<double>(total());
  if (all == 0) return 0;
  double seen = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (counts[i] == 0) continue;
    last = i;
    seen += static_cast<double>(counts[i]);
    if (seen >= share * all) break;
  }
  return upper_end(last);
}

latency_histogram& latency_histogram::operator-=(const latency_histogram& earlier) noexcept {
  for (std::size_t i = 0; i < size; ++i) counts[i] -= earlier.counts[i];
  return *this;
}

latency_histogram& latency_histogram::operator+=(const latency_histogram& other) noexcept {
  for (std::size_t i = 0; i < size; ++i) counts[i] += other.counts[i];
  return *this;
}

server_stats& server_stats::operator+=(const server_stats& other) noexcept {
  requests += other.requests;
  refused += other.refused;
  connections += other.connections;
  working += other.working;
  latency += other.latency;
  shed += other.shed;
  waiting += other.waiting;
  aborted += other.aborted;
  for (std::size_t i = 0; i < by_class.size(); ++i) by_class[i] += other.by_class[i];
  return *this;
}

}  // namespace heddle::http
