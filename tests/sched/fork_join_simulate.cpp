// SPDX-License-Identifier: MIT
// A fork_join that has given its results, and what a failed one costs.
#include "sched/simulated_forks.h"

#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/sleep.h>

#include <stdexcept>
#include <vector>

namespace {

using namespace simulated_forks;

// ------------------------------------------------------------------- once

TEST(AwaitedTwice, AForkJoinOrAGatherThatHasGivenItsResultsIsAUsageError) {
  at_all_loops(1s, []() -> h::task<> {
    auto join = h::fork_join(one(), one());
    auto [a, b] = co_await join;
    require(a + b == 2, "wrong values");
    int refused = 0;
    try {
      (void)co_await join;
    } catch (const h::usage_error&) { ++refused; }

    std::vector<h::task<int>> children;
    children.push_back(one());
    children.push_back(one());
    auto many = h::fork_join(std::move(children));
    const auto values = co_await many;
    require(values.size() == 2, "wrong values");
    try {
      (void)co_await many;
    } catch (const h::usage_error&) { ++refused; }

    auto both = h::gather(one(), one());
    (void)co_await both;
    try {
      (void)co_await both;
    } catch (const h::usage_error&) { ++refused; }
    require(refused == 3, "it was awaited twice");
  });
}

// ------------------------------------------------------------------- cost

h::task<> fails_at_once() {
  throw std::runtime_error("a strand");
  co_return;
}

h::task<int> chain(int n) {
  if (n == 0) co_return 0;
  auto [rest, mine] = co_await h::fork_join(chain(n - 1), one());
  co_return rest + mine;
}

h::task<> chain_after(bool failure, int n) {
  if (failure) {
    try {
      co_await h::fork_join(fails_at_once(), nothing());
    } catch (const std::runtime_error&) {}
  }
  const int sum = co_await chain(n);
  require(sum == n, "a wrong sum");
}

TEST(ForkCost, AJoinThatHasFailedAndIsOverCostsLaterForksNothing) {
  h::options o;
  o.loops = 1;
  int n = HEDDLE_ASAN || HEDDLE_TSAN ? 200 : 1000;
  const auto without = t::simulate(1, o, [n] { return chain_after(false, n); });
  const auto with = t::simulate(1, o, [n] { return chain_after(true, n); });
  EXPECT_LT(with.steps, without.steps + without.steps / 4 + 1000);
  // Inside a strand, whose task goes on.
  const auto below = t::simulate(
      1, o, [n]() -> h::task<> { co_await h::fork_join(chain_after(true, n), nothing()); });
  EXPECT_LT(below.steps, without.steps + without.steps / 4 + 1000);
}

TEST(ForkCost, TheFailureOfALongChainIsPassedUpInOneStepAJoin) {
  h::options o;
  o.loops = 1;
  const auto steps = [&o](int n) {
    return t::simulate(1, o,
                       [n]() -> h::task<> {
                         tally told;
                         auto deep = [&told](auto& self, int left) -> h::task<> {
                           if (left == 0)
                             co_await sleeper(told);
                           else
                             co_await h::fork_join(self(self, left - 1), nothing());
                         };
                         auto fails = []() -> h::task<> {
                           co_await h::sleep(1ms);
                           throw std::runtime_error("a strand");
                         };
                         try {
                           co_await h::fork_join(deep(deep, n), fails());
                         } catch (const std::runtime_error&) {}
                         require(told.told == 1 && told.told_again == 0,
                                 "the sleeper was told otherwise");
                       })
        .steps;
  };
  EXPECT_LT(steps(1000), 30 * steps(100));  // n * n: a hundred times
}

}  // namespace
