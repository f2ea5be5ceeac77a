// SPDX-License-Identifier: MIT
// Time, through one door, so that tests and simulation can replace it: `clock`, and sums of points
// and lengths of time that never overflow.
//
//   const auto end = h::clock::now() + 50ms;
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>

#include <cstdint>

namespace heddle {

using std::chrono::nanoseconds;

/// The library's monotonic clock, in nanoseconds.
/// Cost      now(): one clock_gettime (some 35 ns), less under a virtual source
struct clock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = heddle::duration;
  using time_point = heddle::time_point;
  static constexpr bool is_steady = true;

  /// Thread-safe; never throws.
  static time_point now() noexcept;
};

/// Adds without overflow. A deadline that no number can tell stands at the end of time, and never
/// comes.
constexpr time_point saturating_add(time_point from, duration by) noexcept {
  if (by > duration::zero() && from > time_point::max() - by) return time_point::max();
  if (by < duration::zero() && from < time_point::min() - by) return time_point::min();
  return from + by;
}
/// What is left until `end`; zero if that is past. Never overflows, as `end - now` would for an
/// `end` at one end of time and a `now` at the other side of zero.
constexpr duration time_left(time_point end, time_point now) noexcept {
  if (end <= now) return duration::zero();
  if (now < time_point() && end > time_point::max() + now.time_since_epoch())
    return duration::max();
  return end - now;
}

namespace detail {

/// Where the time comes from in tests with virtual time, in place of the kernel.
class time_source {
 public:
  virtual ~time_source() = default;
  virtual time_point now() noexcept = 0;
};

/// Installs a source for the whole process (nullptr: the kernel). Only while no runtime lives.
void set_time_source(time_source* source) noexcept;

}  // namespace detail
}  // namespace heddle
