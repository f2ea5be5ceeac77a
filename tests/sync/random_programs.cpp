// SPDX-License-Identifier: MIT
// Structured programs at random: forks, groups, gathers, time-outs, shields, generators, futures
// and locks in each other. For each, a reference says when every part ends and how;
// support/random_reference.h. The programs are numbered, so each run tries the same ones. CI tries
// the first 50,000 in release builds, and the first 12,500 where each takes longer: under
// sanitizers and over simulated atomics. tools/nightly tries the first ten million.
#include "support/random_run.h"

#include <gtest/gtest.h>

namespace {

#if defined(NDEBUG) && !defined(HEDDLE_ATOMIC_HEADER)
constexpr std::uint64_t programs = 50'000;
#else
constexpr std::uint64_t programs = 12'500;
#endif

TEST(RandomProgramRaces, EveryPartEndsWhenAndHowItShould) {
  std::uint64_t judged = 0;
  const auto count = simulated::seeds(programs);
  const auto found = heddle::testing::first_failing(1, count, [&](std::uint64_t number) {
    if (random_program::try_program(number)) ++judged;
  });
  EXPECT_FALSE(found.has_value()) << simulated::told(found);
  if (!found) { EXPECT_GT(judged, count / 2) << "too many programs are left open"; }
}

TEST(RandomProgramRaces, WhatCoincidesEndsAndNoRequestIsLeft) {
  NO_SEED_FAILS(
      heddle::testing::first_failing(1, simulated::seeds(programs), &random_program::try_crowded));
}

}  // namespace
