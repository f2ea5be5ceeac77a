// SPDX-License-Identifier: MIT
// Cost does not grow with the square. The library is compiled once more so that each basic block
// that runs is counted: a walk through a list shows, whatever it is made of, and a busy machine
// changes nothing.
#include <heddle/core/base/config.h>
#include <heddle/sched/simulate.h>
#include <support/costs.h>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace {

constinit std::uint64_t steps = 0;

}  // namespace

// Called by the compiler at each basic block of the library.
extern "C" __attribute__((no_sanitize("coverage"))) void __sanitizer_cov_trace_pc() { ++steps; }

namespace {

using namespace support::costs;

constexpr meter counted{[] { return steps; }, [](h::time_point) { return steps; }};

std::uint64_t steps_of(h::task<std::uint64_t> (*program)(meter, std::size_t), std::size_t n) {
  std::uint64_t took = 0;
  h::options o;
  o.loops = 1;
  h::testing::simulation_limits limits;
  limits.steps = 2'000'000'000;
  (void)h::testing::simulate(
      1, o,
      [&]() -> h::task<> {
        auto work = program(counted, n);
        took = co_await std::move(work);
      },
      limits);
  return took;
}

/// n log n: sixteen times as many cost at most sixteen times as much, once more half of that for
/// the logarithm. The square would be 256 times.
void grows_with_n_log_n(h::task<std::uint64_t> (*program)(meter, std::size_t)) {
  constexpr std::size_t few = 500, many = 16 * few;
  const auto small = steps_of(program, few);
  const auto large = steps_of(program, many);
  EXPECT_GT(small, few) << "nothing was counted";
  EXPECT_LT(large, 24 * small) << small << " steps for " << few << ", " << large << " for " << many;
}

TEST(Costs, TimeOutsThatExpireTogetherDoNotLookAtEachOther) {
  grows_with_n_log_n(time_outs_that_expire_together);
}
TEST(Costs, CancellingAGroupCostsEachChildTheSame) { grows_with_n_log_n(a_group_is_cancelled); }
TEST(Costs, JoinersOfOneHandleDoNotLookAtEachOther) { grows_with_n_log_n(joiners_of_one_handle); }
TEST(Costs, AWaiterOfAMutexIsCancelledWithoutASearch) {
  grows_with_n_log_n(waiters_of_a_mutex_are_cancelled);
}
TEST(Costs, ATimerIsCancelledWithoutASearch) { grows_with_n_log_n(timers_are_cancelled); }
TEST(Costs, ANestedGeneratorIsClosedOnce) { grows_with_n_log_n(nested_generators_are_closed); }
TEST(Costs, AForkAfterAFailedJoinDoesNotWalkToTheRoot) {
  grows_with_n_log_n(forks_after_a_failed_join);
}

h::task<std::uint64_t> walks(meter m, std::size_t n) {
  const auto before = m.now();
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < n; ++k) __sanitizer_cov_trace_pc();
  co_return m.now() - before;
}
TEST(Costs, ThisTestSeesTheSquare) { EXPECT_GT(steps_of(walks, 1600), 200 * steps_of(walks, 100)); }

}  // namespace
