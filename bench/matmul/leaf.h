// SPDX-License-Identifier: MIT
//
// The product of two leaves. matmul/ calls it as one function for all peers; matmul_inlined/ lets
// each compiler see it where it is used.
#pragma once

#include <algorithm>
#include <array>

#include "matmul/problem.h"

namespace bench::matmul {

/// c += a * b for one leaf.
inline void multiply_leaf_inline(target c, source a, source b) {
  for (std::size_t i = 0; i < leaf; ++i) {
    // A row of its own, so that the compiler need not fear that c overlaps b, and keeps it in
    // registers.
    std::array<std::uint32_t, leaf> row;
    std::copy_n(c.first + i * c.stride, leaf, row.begin());
    for (std::size_t k = 0; k < leaf; ++k) {
      const std::uint32_t factor = a.first[i * a.stride + k];
      for (std::size_t j = 0; j < leaf; ++j) row[j] += factor * b.first[k * b.stride + j];
    }
    std::copy_n(row.begin(), leaf, c.first + i * c.stride);
  }
}

}  // namespace bench::matmul
