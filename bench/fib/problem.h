// SPDX-License-Identifier: MIT
//
// Fibonacci by double recursion: the cost of a fork and a join, and nothing else.
#pragma once

#include "common/program.h"

namespace bench::fib {

inline constexpr long default_size = 35;  // 29.9 million calls
inline constexpr std::string_view size_means = "n of fib(n); default: 35";

/// The greatest n of fib_fixed/, where it is known to the compiler.
inline constexpr int most_fixed = 40;

inline long expected(long n) {
  long a = 0;
  long b = 1;
  for (; n > 0; --n) {
    const long next = a + b;
    a = b;
    b = next;
  }
  return a;
}

}  // namespace bench::fib
