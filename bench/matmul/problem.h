// SPDX-License-Identifier: MIT
//
// Square matrices multiplied by quarters: few, larger tasks, where the order of execution decides
// what is in the caches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/program.h"

namespace bench::matmul {

inline constexpr long default_size = 2048;
inline constexpr std::string_view size_means =
    "rows, a power of two from 32 to 8192; default: 2048";
inline constexpr std::size_t leaf = 32;

/// A square part of a matrix that lies in rows of `stride`.
template <class Number>
struct part {
  Number* first;
  std::size_t size;
  std::size_t stride;

  part quarter(std::size_t row, std::size_t column) const {
    const std::size_t half = size / 2;
    return {first + row * half * stride + column * half, half, stride};
  }
};

using source = part<const std::uint32_t>;
using target = part<std::uint32_t>;

/// c += a * b for one leaf. Never inlined, so that all peers run the same instructions.
void multiply_leaf(target c, source a, source b);

/// The operands, the same for every peer, and a check of the product.
class problem {
 public:
  /// Ends the program unless `size` is in range.
  problem(const identity& who, long size);

  source a() const { return {a_.data(), size_, size_}; }
  source b() const { return {b_.data(), size_, size_}; }
  target c() { return {c_.data(), size_, size_}; }

  void clear();

  /// 1 if c is a * b, else 0, by Freivalds' test: both sides times a vector, exact in arithmetic
  /// modulo 2^32.
  long holds() const;

 private:
  std::size_t size_;
  std::vector<std::uint32_t> a_;
  std::vector<std::uint32_t> b_;
  std::vector<std::uint32_t> c_;
};

}  // namespace bench::matmul
