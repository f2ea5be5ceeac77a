// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace bench {

/// Counts of times in nanoseconds, 64 buckets for each power of two: a quantile is off by 1.6 % at
/// most.
class histogram {
 public:
  void record(std::uint64_t ns) {
    ++buckets_[bucket_of(ns)];
    ++total_;
  }

  void clear() { *this = histogram{}; }

  /// Least time that a share of `quantile` of all records does not exceed; 0 without records.
  std::uint64_t at(double quantile) const {
    const double wanted = quantile * static_cast<double>(total_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > 0 && static_cast<double>(seen) >= wanted) return start_of(i);
    }
    return 0;
  }

 private:
  static constexpr unsigned bits = 6;
  static constexpr std::size_t per_power = 1u << bits;

  static std::size_t bucket_of(std::uint64_t ns) {
    if (ns < per_power) return static_cast<std::size_t>(ns);
    const unsigned shift = static_cast<unsigned>(std::bit_width(ns)) - bits - 1;
    return (shift + 1) * per_power + static_cast<std::size_t>((ns >> shift) - per_power);
  }

  static std::uint64_t start_of(std::size_t bucket) {
    if (bucket < per_power) return bucket;
    const std::size_t shift = bucket / per_power - 1;
    return static_cast<std::uint64_t>(per_power + bucket % per_power) << shift;
  }

  std::array<std::uint64_t, (64 - bits + 1) * per_power> buckets_{};
  std::uint64_t total_ = 0;
};

}  // namespace bench
