// SPDX-License-Identifier: MIT
// LOOK-TWICE (support/sleepers.h) with others running between any two of its atomic operations, as
// a seed draws it.
#include "support/simulated.h"
#include "support/sleepers.h"

#include <heddle/core/simulated/world.h>
#include <heddle/sched/simulate.h>

#include <optional>
#include <string>

namespace t = heddle::testing;

namespace {

using simulated::require;

struct virtual_threads {
  using thread = t::virtual_thread;
  class bell {
   public:
    void ring() { ++rung_; }
    void wait() {
      heddle::detail::block_until(*heddle::detail::world_of_this_thread(),
                                  heddle::time_point::max(), [this] { return rung_ != 0; });
      --rung_;
    }

   private:
    int rung_ = 0;
  };
  static void yield() { heddle::detail::world_of_this_thread()->pass(); }
};

/// The first of `seeds` seeds with which something is lost, or the set counts wrongly when all
/// sleep.
template <class Policy>
std::optional<t::failing_seed> loses_one(unsigned loops, std::uint64_t seeds) {
  return t::first_failing(1, seeds, [&](std::uint64_t seed) {
    bool lost = false, rests = true;
    t::simulate_program(seed, [&] {
      sleepers::dormitory<Policy, virtual_threads> all(loops, seed);
      for (std::uint32_t round = 0; round < 5 && !lost; ++round) lost = !all.send(1 + round % 4);
      rests = lost || all.is_at_rest();
    });
    require(!lost, "everybody sleeps, and something was sent");
    require(rests, "everybody sleeps, and the set counts otherwise");
  });
}

/// How many loops sleep.
class SimulatedIdle : public testing::TestWithParam<unsigned> {};

TEST_P(SimulatedIdle, WhateverIsSentWhileLoopsFallAsleepIsTaken) {
  NO_SEED_FAILS(loses_one<sleepers::looks_twice>(GetParam(), simulated::seeds(10'000)));
}

INSTANTIATE_TEST_SUITE_P(Loops, SimulatedIdle, ::testing::Values(1u, 2u, 3u, 4u, 8u, 40u),
                         [](const auto& p) { return std::to_string(p.param); });

TEST(PlantedFaults, ASecondLookAtOnesOwnThatIsLeftOutIsFound) {
  EXPECT_TRUE(loses_one<sleepers::looks_once>(2, 10'000).has_value());
}
TEST(PlantedFaults, ASecondLookOfTheLastSearcherThatIsLeftOutIsFound) {
  EXPECT_TRUE(loses_one<sleepers::trusts_the_other_searchers>(2, 10'000).has_value());
}
TEST(PlantedFaults, ALookOfOneThatWasRefusedThatIsLeftOutIsFound) {
  EXPECT_TRUE(loses_one<sleepers::trusts_a_refusal>(2, 100'000).has_value());
}

}  // namespace
