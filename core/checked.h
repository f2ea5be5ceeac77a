// SPDX-License-Identifier: MIT
// The one door for numbers that a user or a peer chose: durations, counts, sizes, lengths, and
// their text. For users: `to_duration`, and the types of arguments `any_duration` and
// `port_number`.
//
//   h::to_duration(std::chrono::hours::max())   // h::duration::max(): clamped, not in the past
//   h::port_number(65536)                       // throws h::bad_value
//
// Problem   A bare conversion is silent at the ends of its types. A NaN becomes some integer, 2^32
//           becomes 0, -1 becomes 2^64 - 1, and hours::max() becomes a time in the past.
// Chosen    Each conversion names what it does at the ends: `checked` refuses, `saturated` clamps,
//           `narrow` ends the process, since the library itself promised that the value fits.
//           `to_duration` clamps, and refuses a NaN. `parse_number` refuses.
// Promised  tests/house_check refuses a static_cast that narrows a size, a duration_cast, and
//           strtol and its kin anywhere else.
#pragma once

#include <heddle/core/base/assert.h>
#include <heddle/core/base/config.h>
#include <heddle/core/base/time_types.h>

#include <compare>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

namespace heddle {
namespace detail {

template <class T>
concept whole_number = std::is_integral_v<T> && !std::is_same_v<T, bool>;

/// True: `v` is a value of `To`. Signs are compared as numbers: -1 is no std::size_t. Cost: two
/// comparisons at most.
template <whole_number To, whole_number From>
[[nodiscard]] constexpr bool fits(From v) noexcept {
  constexpr auto least = std::numeric_limits<To>::min();
  constexpr auto most = std::numeric_limits<To>::max();
  if constexpr (std::is_signed_v<From>) {
    if (v < 0) {
      if constexpr (std::is_signed_v<To>) return v >= least;
      return false;
    }
  }
  return static_cast<std::make_unsigned_t<From>>(v) <= static_cast<std::make_unsigned_t<To>>(most);
}

/// "NAME is VALUE: it must be from LEAST to MOST". Throws bad_value.
[[noreturn]] HEDDLE_COLD void throw_out_of_range(const char* name, std::int64_t value,
                                                 std::int64_t least, std::uint64_t most);
[[noreturn]] HEDDLE_COLD void throw_out_of_range(const char* name, std::uint64_t value,
                                                 std::int64_t least, std::uint64_t most);
/// Throws bad_value for a duration that is not a number.
[[noreturn]] HEDDLE_COLD void throw_not_a_number();

/// The value of `To` nearest to `v`.
template <whole_number To, whole_number From>
[[nodiscard]] constexpr To saturated(From v) noexcept {
  if (fits<To>(v)) [[likely]]
    return static_cast<To>(v);
  if constexpr (std::is_signed_v<From>)
    if (v < 0) return std::numeric_limits<To>::min();
  return std::numeric_limits<To>::max();
}

/// A user's number as a `To` from `least` to `most`. Throws bad_value, which says `name`, the value
/// and the range.
template <whole_number To, whole_number From>
[[nodiscard]] constexpr To checked(From v, const char* name,
                                   To least = std::numeric_limits<To>::min(),
                                   To most = std::numeric_limits<To>::max()) {
  if (fits<To>(v)) [[likely]] {
    const To value = static_cast<To>(v);
    if (value >= least && value <= most) [[likely]]
      return value;
  }
  using wide = std::conditional_t<std::is_signed_v<From>, std::int64_t, std::uint64_t>;
  throw_out_of_range(name, static_cast<wide>(v), saturated<std::int64_t>(least),
                     saturated<std::uint64_t>(most));
}

/// A number that the library has bounded already. If it does not fit all the same, that is a bug of
/// the library: the process ends, and no byte is lost in silence. Cost: a comparison.
template <whole_number To, whole_number From>
[[nodiscard]] constexpr To narrow(From v) noexcept {
  HEDDLE_ASSERT(fits<To>(v), "a length that had been bounded does not fit its type");
  return static_cast<To>(v);
}

/// The sum, or the end of the type that it would pass.
template <whole_number T>
[[nodiscard]] constexpr T saturating_sum(T a, T b) noexcept {
  T sum{};
  if (!__builtin_add_overflow(a, b, &sum)) [[likely]]
    return sum;
  return b < T{} ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
}

/// Reads a number. True, and `value` is set: all of `text` is digits of `base`, at least one, with
/// no sign and no space, and their value is at most `most`. Leading zeros are allowed. Never
/// throws.
[[nodiscard]] bool parse_digits(std::string_view text, std::uint64_t most, std::uint64_t& value,
                                unsigned base = 10) noexcept;
template <whole_number T>
[[nodiscard]] bool parse_number(std::string_view text, T& value,
                                T most = std::numeric_limits<T>::max()) noexcept {
  std::uint64_t parsed = 0;
  if (most < T{} || !parse_digits(text, static_cast<std::uint64_t>(most), parsed)) return false;
  value = static_cast<T>(parsed);
  return true;
}
/// A decimal fraction ("2", "0.5", "1e-3") from 0 to `most`. False for NaN, infinity, a sign, and
/// anything behind the number.
[[nodiscard]] bool parse_number(std::string_view text, double& value, double most) noexcept;

}  // namespace detail

/// Turns any duration into nanoseconds. A duration too long for that, or infinite, becomes the
/// longest of its sign. Fractions round up, so that no wait is too short.
/// Cost      whole nanoseconds to hours: a multiplication
/// Throws    bad_value for a NaN
template <class Rep, class Period>
constexpr std::chrono::duration<std::int64_t, std::nano> to_duration(
    std::chrono::duration<Rep, Period> d) noexcept(!std::is_floating_point_v<Rep>) {
  using result = std::chrono::duration<std::int64_t, std::nano>;
  using exact = std::ratio_divide<Period, std::nano>;
  if constexpr (std::is_integral_v<Rep> &&
                exact::den == 1) {  // the usual ones, in few instructions
    std::int64_t ns = 0;
    if (!__builtin_mul_overflow(d.count(), exact::num, &ns)) [[likely]]
      return result(ns);
    return d.count() < Rep{} ? result::min() : result::max();
  } else {
    const auto w = static_cast<long double>(d.count()) * static_cast<long double>(exact::num) /
                   static_cast<long double>(exact::den);
    if (w != w) [[unlikely]]
      detail::throw_not_a_number();
    if (w >= static_cast<long double>(result::max().count())) return result::max();
    if (w <= static_cast<long double>(result::min().count())) return result::min();
    const auto whole = static_cast<std::int64_t>(w);  // towards zero
    return result(static_cast<long double>(whole) < w ? whole + 1 : whole);
  }
}

/// A duration in an argument or an option. It is made of any duration by to_duration, so
/// hours::max() means for ever. Reads as nanoseconds. Making one of a NaN throws bad_value.
class any_duration {
  using nanoseconds = std::chrono::duration<std::int64_t, std::nano>;

 public:
  template <class Rep, class Period>
  constexpr any_duration(std::chrono::duration<Rep, Period> d) noexcept(  // NOLINT: that is its use
      noexcept(to_duration(d)))
      : value_(to_duration(d)) {}
  constexpr operator nanoseconds() const noexcept { return value_; }  // NOLINT: likewise
  [[nodiscard]] constexpr nanoseconds get() const noexcept { return value_; }
  [[nodiscard]] constexpr std::int64_t count() const noexcept { return value_.count(); }
  friend constexpr bool operator==(any_duration, any_duration) noexcept = default;
  friend constexpr auto operator<=>(any_duration a, any_duration b) noexcept {
    return a.value_.count() <=> b.value_.count();
  }

 private:
  nanoseconds value_;
};

/// The port in an argument, made of any integer. Making one outside of 0 to 65535 throws bad_value.
class port_number {
 public:
  template <detail::whole_number T>
  constexpr port_number(T port)  // NOLINT: that is its use
      : value_(detail::checked<std::uint16_t>(port, "the port")) {}
  constexpr operator std::uint16_t() const noexcept { return value_; }  // NOLINT: likewise

 private:
  std::uint16_t value_;
};

}  // namespace heddle
