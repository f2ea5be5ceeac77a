// SPDX-License-Identifier: MIT
#include "matmul/problem.h"

#include <algorithm>
#include <bit>

#include "matmul/leaf.h"

namespace bench::matmul {
namespace {

std::size_t checked_size(const identity& who, long size) {
  if (size < static_cast<long>(leaf) || size > 8192 ||
      !std::has_single_bit(static_cast<unsigned long>(size))) {
    give_up(who, "--size must be a power of two from 32 to 8192");
  }
  return static_cast<std::size_t>(size);
}

// A fixed generator, so that every run of every peer multiplies the same numbers.
std::vector<std::uint32_t> numbers(std::size_t count, std::uint32_t state) {
  std::vector<std::uint32_t> all(count);
  for (auto& n : all) {
    state = state * 1664525u + 1013904223u;
    n = state >> 8;
  }
  return all;
}

std::vector<std::uint32_t> times(const std::vector<std::uint32_t>& matrix,
                                 const std::vector<std::uint32_t>& vector) {
  const std::size_t size = vector.size();
  std::vector<std::uint32_t> product(size);
  for (std::size_t row = 0; row < size; ++row) {
    std::uint32_t sum = 0;
    for (std::size_t k = 0; k < size; ++k) sum += matrix[row * size + k] * vector[k];
    product[row] = sum;
  }
  return product;
}

}  // namespace

void multiply_leaf(target c, source a, source b) { multiply_leaf_inline(c, a, b); }

problem::problem(const identity& who, long size)
    : size_(checked_size(who, size)),
      a_(numbers(size_ * size_, 1)),
      b_(numbers(size_ * size_, 2)),
      c_(size_ * size_) {}

void problem::clear() { std::fill(c_.begin(), c_.end(), 0u); }

long problem::holds() const {
  const auto vector = numbers(size_, 3);
  return times(a_, times(b_, vector)) == times(c_, vector) ? 1 : 0;
}

}  // namespace bench::matmul
