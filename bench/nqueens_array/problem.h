// SPDX-License-Identifier: MIT
//
// The same search as nqueens/, with an n that the compiler knows: a board is an array of just n
// columns, and the row is a parameter of its own.
#pragma once

#include <array>
#include <cstddef>

#include "common/constant.h"
#include "nqueens/problem.h"

namespace bench::nqueens_array {

inline constexpr int least = 4;
inline constexpr int most = static_cast<int>(nqueens::most);

template <int N>
using board = std::array<signed char, static_cast<std::size_t>(N)>;

/// Whether a queen may stand in column `candidate` of row `row`, above which all rows have one.
template <int N>
bool allows(const board<N>& placed, int row, int candidate) {
  for (int above = 0; above < row; ++above) {
    const int taken = placed[static_cast<std::size_t>(above)];
    const int distance = row - above;
    if (taken == candidate || taken - distance == candidate || taken + distance == candidate)
      return false;
  }
  return true;
}

template <int N>
board<N> with(board<N> placed, int row, int column) {
  placed[static_cast<std::size_t>(row)] = static_cast<signed char>(column);
  return placed;
}

}  // namespace bench::nqueens_array
