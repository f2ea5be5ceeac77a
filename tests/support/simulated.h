// SPDX-License-Identifier: MIT
// What tests of simulated programs share.
#pragma once

#include <heddle/core/base/config.h>
#include <heddle/sched/simulate.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <stdexcept>

namespace simulated {

/// So many seeds, or as many as HEDDLE_SEEDS asks for (tools/nightly does); fewer where a step
/// costs ten times as much.
inline std::uint64_t seeds(std::uint64_t n) {
  if (const char* asked = std::getenv("HEDDLE_SEEDS")) n = std::strtoull(asked, nullptr, 10);
  return HEDDLE_ASAN || HEDDLE_TSAN ? n / 20 : n;
}

/// A condition that holds whatever the schedule; what it throws ends the simulation, whose seed is
/// then known.
inline void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

inline std::string told(const std::optional<heddle::testing::failing_seed>& found) {
  return found ? "seed " + std::to_string(found->seed) + ": " + found->what : "no seed";
}

}  // namespace simulated

#define NO_SEED_FAILS(...)                                       \
  do {                                                           \
    const auto found_ = __VA_ARGS__;                             \
    EXPECT_FALSE(found_.has_value()) << simulated::told(found_); \
  } while (false)
