// SPDX-License-Identifier: MIT
//
// Skynet: a tree of tasks, ten children each, whose leaves are numbered and summed up: wide forks
// and joins over a range.
#pragma once

#include "common/program.h"

namespace bench::skynet {

inline constexpr long default_size = 1'000'000;  // 1.11 million tasks
inline constexpr std::string_view size_means = "leaves, a power of ten; default: 1000000";
inline constexpr long fan_out = 10;

inline long expected(long leaves) { return leaves * (leaves - 1) / 2; }

/// Ends the program unless `leaves` makes a full tree.
inline void check_size(const identity& who, long leaves) {
  long power = 1;
  while (power < leaves && power <= 100'000'000) power *= fan_out;
  if (power != leaves) give_up(who, "--size must be a power of ten, at most 10^9");
}

}  // namespace bench::skynet
