// SPDX-License-Identifier: MIT
// LOOK-TWICE (support/sleepers.h) under real threads.
#include "support/sleepers.h"

#include <support/loops.h>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>

namespace {

using namespace std::chrono_literals;

struct real_threads {
  class thread {
   public:
    template <class F>
    explicit thread(F f) : thread_(std::move(f)) {}
    thread(const thread&) = delete;
    ~thread() { thread_.join(); }

   private:
    std::thread thread_;
  };
  class bell {
   public:
    void ring() { rung_.release(); }
    void wait() { rung_.acquire(); }

   private:
    std::counting_semaphore<> rung_{0};
  };
  static void yield() { std::this_thread::yield(); }
};
template <class Policy>
using dormitory = sleepers::dormitory<Policy, real_threads>;

/// How many loops sleep.
class IdleStress : public support::at_loops {};
HEDDLE_AT_LOOPS(IdleStress);

TEST_P(IdleStress, WhateverIsSentWhileLoopsFallAsleepIsTaken) {
  const auto seed = std::uint64_t{std::random_device{}()};
  dormitory<sleepers::looks_twice> all(loops(), seed);
  for (int round = 0; round < support::rounds(3000); ++round)
    ASSERT_TRUE(all.send(1 + static_cast<std::uint32_t>(round) % 4))
        << "seed " << seed << ", round " << round;
  EXPECT_TRUE(all.is_at_rest()) << "seed " << seed;
}

/// Whether it loses something within a minute.
template <class Policy>
bool loses_one(unsigned loops) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  for (std::uint64_t seed = 1; std::chrono::steady_clock::now() < end; ++seed) {
    dormitory<Policy> all(loops, seed);
    for (std::uint32_t round = 0; round < 200; ++round)
      if (!all.send(1 + round % 4)) return true;
  }
  return false;
}

TEST_P(IdleStress, APlantedFaultInTheSecondLookAtOnesOwnIsNoticed) {
  EXPECT_TRUE(loses_one<sleepers::looks_once>(loops()));
}

TEST_P(IdleStress, APlantedFaultInTheLastSearchersSecondLookIsNoticed) {
  EXPECT_TRUE(loses_one<sleepers::trusts_the_other_searchers>(loops()));
}

}  // namespace
