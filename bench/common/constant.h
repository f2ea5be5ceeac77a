// SPDX-License-Identifier: MIT
//
// Problems whose size the compiler knows: from a number of the command line to a function of that
// number.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include "common/program.h"

namespace bench {

template <int Least, class F, int... I>
auto with_constant_of(int n, F f, std::integer_sequence<int, I...>) {
  using result = decltype(f(std::integral_constant<int, Least>()));
  result (*const calls[])(F&) = {
      [](F& g) { return g(std::integral_constant<int, Least + I>()); }...};
  return calls[n - Least](f);
}

/// `f(std::integral_constant<int, n>())`, for `n` from Least to Most.
template <int Least, int Most, class F>
auto with_constant(int n, F f) {
  return with_constant_of<Least>(n, f, std::make_integer_sequence<int, Most - Least + 1>());
}

/// Ends the program unless `n` is in range.
inline int checked_size(const identity& who, long n, int least, int most) {
  if (n < least || n > most) {
    give_up(who, "--size must be from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return static_cast<int>(n);
}

}  // namespace bench
