// SPDX-License-Identifier: MIT
// Time, through one door, so that tests and simulation can replace it.
#pragma once

#include <heddle/core/atomic.h>

#include <cstdint>
#include <type_traits>

#if __has_include(<bits/chrono.h>)
#include <bits/chrono.h>  // libstdc++: durations, clocks and literals without the formatting, which drags in iostreams
#else
#include <chrono>
#endif

namespace heddle {

using std::chrono::nanoseconds;

/// The library's monotonic clock, in nanoseconds. `now()` costs one clock_gettime (some 35 ns), less under a virtual source.
struct clock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::duration<rep, period>;
  using time_point = std::chrono::time_point<clock, duration>;
  static constexpr bool is_steady = true;

  /// Thread-safe; never throws.
  static time_point now() noexcept;
};

using duration = clock::duration;
using time_point = clock::time_point;

/// Adds without overflow: a deadline too far to be told stays at the end of time and never comes.
constexpr time_point saturating_add(time_point from, duration by) noexcept {
  if (by > duration::zero() && from > time_point::max() - by) return time_point::max();
  if (by < duration::zero() && from < time_point::min() - by) return time_point::min();
  return from + by;
}

/// Turns any duration, infinite and floating ones included, into nanoseconds, clamped at both ends; a NaN stays visible to
/// the caller as `is_nan`.
template <class Rep, class Period>
constexpr duration to_duration(std::chrono::duration<Rep, Period> d) noexcept {
  using exact = std::ratio_divide<Period, std::nano>;
  if constexpr (std::is_integral_v<Rep> &&
                exact::den == 1) {  // the usual ones, in few instructions
    std::int64_t ns = 0;
    if (!__builtin_mul_overflow(d.count(), exact::num, &ns)) [[likely]]
      return duration(ns);
    return d.count() < Rep{} ? duration::min() : duration::max();
  }
  using wide = std::chrono::duration<long double, std::nano>;
  const auto w = std::chrono::duration_cast<wide>(d).count();
  if (w >= static_cast<long double>(duration::max().count())) return duration::max();
  if (w <= static_cast<long double>(duration::min().count())) return duration::min();
  if constexpr (std::is_floating_point_v<Rep>) {
    return duration(static_cast<std::int64_t>(w < 0 ? w : w + 0.999999L));  // never early: round up
  } else {
    return duration(static_cast<std::int64_t>(w));
  }
}

namespace detail {

/// Where the time comes from when it is not the kernel: virtual time in tests and in simulation.
class time_source {
 public:
  virtual ~time_source() = default;
  virtual time_point now() noexcept = 0;
};

/// Installs a source for the whole process (nullptr: the kernel's). Only between runs: not while a runtime lives.
void set_time_source(time_source* source) noexcept;

}  // namespace detail
}  // namespace heddle
