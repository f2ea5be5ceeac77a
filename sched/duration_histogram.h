// SPDX-License-Identifier: MIT
// duration_histogram: how often something took how long, in buckets; from it any percentile.
//
//   const auto late = h::current_runtime().metrics().loops[0].timer_lag;
//   late.percentile(0.99);  // 99 % of the timers were not later than this
#pragma once

#include <heddle/core/base/time_types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace heddle {

/// Counts of times. A bucket is an eighth of a power of two wide, so the middle of a bucket is at
/// most a sixteenth beside each time in it. Times of less than 8 ns have a bucket each.
/// Thread-safety  as a std::vector
struct duration_histogram {
  static constexpr std::size_t size = 8 * 40;  // up to 2^42 ns, some 73 minutes

  /// By bucket; empty if nothing was counted.
  std::vector<std::uint64_t> counts = {};
  /// All times together, in ns. It wraps behind 584 years.
  std::uint64_t total_ns = 0;

  /// The bucket that counts this time. Times beyond the last bucket are counted there.
  static std::size_t bucket(std::uint64_t ns) noexcept;
  /// The shortest time of a bucket, and the shortest one of the next bucket, in ns.
  static std::uint64_t begin_of(std::size_t bucket) noexcept;
  static std::uint64_t end_of(std::size_t bucket) noexcept { return begin_of(bucket + 1); }

  /// Counts a time `times` times; a negative one as zero.
  void add(duration time, std::uint64_t times = 1);
  /// How many times were counted.
  [[nodiscard]] std::uint64_t count() const noexcept;
  /// How many of them were shorter than `ns`, which is the beginning of a bucket.
  [[nodiscard]] std::uint64_t count_below(std::uint64_t ns) const noexcept;
  /// The time that this share of all (0 to 1) does not exceed, to a sixteenth; zero if none was
  /// counted.
  [[nodiscard]] duration percentile(double share) const noexcept;
  /// Adds what `other` has counted.
  duration_histogram& operator+=(const duration_histogram& other);
  /// Leaves what was counted since `earlier`, a former state of the same histogram.
  duration_histogram& operator-=(const duration_histogram& earlier);
};

}  // namespace heddle
