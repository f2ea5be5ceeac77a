// SPDX-License-Identifier: MIT
// Internal to core.
// The seam for random choices.
#pragma once

#include <cstdint>

namespace heddle::detail {

/// Choices of the scheduler (from which loop to steal first) come from here and nowhere else, so
/// that a seed decides them. splitmix64: small, fast, passes the usual statistical tests; not for
/// secrets.
class random_source {
 public:
  explicit constexpr random_source(std::uint64_t seed) noexcept : state_(seed) {}

  constexpr std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// A number below `bound`, which is not 0. The bias is below 2^-32.
  constexpr std::uint32_t below(std::uint32_t bound) noexcept {
    return static_cast<std::uint32_t>(
        (static_cast<std::uint64_t>(static_cast<std::uint32_t>(next())) * bound) >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace heddle::detail
