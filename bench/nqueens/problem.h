// SPDX-License-Identifier: MIT
//
// All ways to place n queens: an irregular tree, one task for each queen that can stand, with some
// work in each.
#pragma once

#include <array>
#include <cstddef>

#include "common/program.h"

namespace bench::nqueens {

inline constexpr long default_size = 14;  // 27.4 million boards
inline constexpr std::string_view size_means = "n, from 1 to 16; default: 14";
inline constexpr std::size_t most = 16;

/// Columns of the queens placed so far, one a row.
struct board {
  std::array<signed char, most> column;
  int rows;

  /// Whether a queen may stand in `candidate` of the next row.
  bool allows(int candidate) const {
    for (int row = 0; row < rows; ++row) {
      const int taken = column[static_cast<std::size_t>(row)];
      const int distance = rows - row;
      if (taken == candidate || taken - distance == candidate || taken + distance == candidate) {
        return false;
      }
    }
    return true;
  }

  board with(int candidate) const {
    board next = *this;
    next.column[static_cast<std::size_t>(next.rows++)] = static_cast<signed char>(candidate);
    return next;
  }
};

/// Ends the program unless `n` is in range.
inline long expected(const identity& who, long n) {
  constexpr std::array<long, most + 1> solutions{
      0, 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200, 73712, 365596, 2279184, 14772512};
  if (n < 1 || n > static_cast<long>(most)) give_up(who, "--size must be from 1 to 16");
  return solutions[static_cast<std::size_t>(n)];
}

}  // namespace bench::nqueens
