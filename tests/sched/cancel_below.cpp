// SPDX-License-Identifier: MIT
// What is cancelled reaches everything below: strands below a strand, time-outs inside of others,
// children of a gather. The programs are simulated, with a virtual clock: a wait for a thousand
// hours is over as soon as nothing else is to be done, and is seen as such.
#include "support/simulated.h"

#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/parallel_for_each.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>

#include <atomic>
#include <string>

namespace {

namespace h = heddle;
namespace t = heddle::testing;
using namespace std::chrono_literals;
using simulated::require;

constexpr std::uint64_t some = 40;

/// Runs `main` at 1, 2 and 8 loops with some seeds each; it has to end within `limit` of virtual
/// time.
template <class Main>
void at_all_loops(h::duration limit, Main main) {
  for (const unsigned loops : {1u, 2u, 8u}) {
    h::options o;
    o.loops = loops;
    for (std::uint64_t seed = 1; seed <= simulated::seeds(some); ++seed) {
      const auto report = t::simulate(seed, o, main);
      ASSERT_LT(report.elapsed, limit) << loops << " loops, seed " << seed;
    }
  }
}

struct tally {
  std::atomic<int> begun{0};
  std::atomic<int> told{0};
  std::atomic<int> told_again{0};
};

/// Waits for ever, and then cleans up, which is a wait too: one cancellation must end the first
/// wait alone.
h::task<> sleeper(tally& n) {
  ++n.begun;
  try {
    co_await h::sleep(1000h);
  } catch (const h::cancelled_error&) { ++n.told; }
  try {
    co_await h::sleep(1ms);
  } catch (const h::cancelled_error&) { ++n.told_again; }
  throw h::cancelled_error();
}

h::task<> two_sleepers(tally& n) { co_await h::fork_join(sleeper(n), sleeper(n)); }

/// 2 to the power of `depth` sleepers.
h::task<> tree_of_sleepers(tally& n, int depth) {
  if (depth == 0)
    co_await sleeper(n);
  else
    co_await h::fork_join(tree_of_sleepers(n, depth - 1), tree_of_sleepers(n, depth - 1));
}

h::task<> undisturbed(bool& ended) {
  co_await h::sleep(200ms);
  ended = true;
}

void require_each_told_once(const tally& n, int sleepers) {
  require(n.told == n.begun, "a strand was not told");
  require(n.begun <= sleepers, "a strand began twice");
  require(n.told_again == 0, "a strand was told twice");
}

/// Runs `inside` under a time limit in a strand, beside one that is not concerned.
template <class Inside>
h::task<> limited_in_a_strand(Inside inside) {
  bool timed_out = false, beside = false;
  auto limited = [&timed_out, &inside]() -> h::task<> {
    try {
      co_await inside();
    } catch (const h::timeout_error&) { timed_out = true; }
  };
  co_await h::fork_join(limited(), undisturbed(beside));
  require(timed_out, "no timeout_error");
  require(beside, "the strand beside did not end");
  require(h::current_task().cancelling() == 0, "a request is left over");
}

TEST(CancelBelow, ATimeOutInAStrandEndsTheForkJoinInside) {
  at_all_loops(300ms, []() -> h::task<> {
    tally n;
    auto inside = [&n]() -> h::task<> {
      auto body = [&n] { return two_sleepers(n); };
      auto block = h::timeout(50ms, body);
      co_await std::move(block);
    };
    co_await limited_in_a_strand(inside);
    require_each_told_once(n, 2);
  });
}

TEST(CancelBelow, AWaitForInAStrandEndsATreeOfForksInside) {
  at_all_loops(300ms, []() -> h::task<> {
    tally n;
    auto inside = [&n]() -> h::task<> {
      auto block = h::wait_for(tree_of_sleepers(n, 4), 50ms);
      co_await std::move(block);
    };
    co_await limited_in_a_strand(inside);
    require_each_told_once(n, 16);
  });
}

TEST(CancelBelow, ATimeOutInAStrandEndsTheParallelForEachInside) {
  at_all_loops(300ms, []() -> h::task<> {
    tally n;
    auto inside = [&n]() -> h::task<> {
      auto each = [&n](int) { return sleeper(n); };
      auto body = [&each] { return h::parallel_for_each(0, 10, 1, each); };
      auto block = h::timeout(50ms, body);
      co_await std::move(block);
    };
    co_await limited_in_a_strand(inside);
    require_each_told_once(n, 10);
  });
}

TEST(CancelBelow, AChildThatFailsInAStrandEndsTheForkJoinInTheBodyOfItsGroup) {
  at_all_loops(300ms, []() -> h::task<> {
    tally n;
    bool failed = false, beside = false;
    auto grouped = [&n, &failed]() -> h::task<> {
      auto fails = []() -> h::task<> {
        co_await h::sleep(50ms);
        throw std::runtime_error("a child");
      };
      auto body = [&n, &fails](h::task_group& g) -> h::task<> {
        g.create_task(fails());
        co_await two_sleepers(n);
      };
      auto block = h::with_task_group(body);
      try {
        co_await std::move(block);
      } catch (const h::exception_group& e) { failed = e.exceptions().size() == 1; }
    };
    co_await h::fork_join(grouped(), undisturbed(beside));
    require(failed && beside, "the group or what is beside ended otherwise");
    require_each_told_once(n, 2);
  });
}

TEST(CancelBelow, TimeOutsInsideOfStrandsInsideOfTimeOutsEndWhatIsBelowThemAlone) {
  at_all_loops(300ms, []() -> h::task<> {
    tally inner, outer;
    auto deep = [&inner]() -> h::task<> {
      auto block = h::wait_for(two_sleepers(inner), 20ms);
      try {
        co_await std::move(block);
      } catch (const h::timeout_error&) {}
      co_await h::sleep(10ms);
    };
    auto inside = [&]() -> h::task<> {
      auto both = [&]() -> h::task<> { co_await h::fork_join(deep(), sleeper(outer)); };
      auto block = h::wait_for(both(), 50ms);
      co_await std::move(block);
    };
    co_await limited_in_a_strand(inside);
    require_each_told_once(inner, 2);
    require_each_told_once(outer, 1);
  });
}

TEST(CancelBelow, TheTaskIsCancelledAndEachSleeperIsToldOnceAlthoughJoinsFailMeanwhile) {
  at_all_loops(300ms, []() -> h::task<> {
    tally n;
    auto all = h::create_task(tree_of_sleepers(n, 3));
    co_await h::sleep(50ms);
    require(all.cancel(), "it ended by itself");
    try {
      co_await all;
      require(false, "it ended well");
    } catch (const h::cancelled_error&) {}
    require_each_told_once(n, 8);
    require(n.begun == 8, "not all have begun");
  });
}

TEST(CancelBelow, AStrandThatFailsTellsItsSiblingsBelowOnce) {
  at_all_loops(300ms, []() -> h::task<> {
    tally n;
    auto fails = []() -> h::task<> {
      co_await h::sleep(50ms);
      throw std::runtime_error("a strand");
    };
    try {
      co_await h::fork_join(tree_of_sleepers(n, 3), fails());
      require(false, "it ended well");
    } catch (const std::runtime_error&) {}
    require_each_told_once(n, 8);
  });
}

h::task<> nothing() { co_return; }

/// Forks until a cancellation comes, swallows it, and forks on: no second one may come.
h::task<> forks_on(tally& n, h::task_group& g, bool cancels) {
  ++n.begun;
  if (cancels) {
    while (n.begun != 2) co_await h::fork_join(nothing(), nothing());
    g.cancel();
  }
  for (int i = 0;; ++i) {
    try {
      co_await h::fork_join(nothing(), nothing());
      if (i % 64 == 63) co_await h::yield_now();
    } catch (const h::cancelled_error&) {
      ++n.told;
      break;
    }
  }
  for (int i = 0; i < 100; ++i) {
    try {
      co_await h::fork_join(nothing(), nothing());
    } catch (const h::cancelled_error&) { ++n.told_again; }
  }
}

TEST(CancelBelow, AStrandThatComputesIsToldAtItsNextForkAndOnce) {
  at_all_loops(1s, []() -> h::task<> {
    tally n;
    auto inside = [&n]() -> h::task<> {
      auto body = [&n](h::task_group& g) -> h::task<> {
        co_await h::fork_join(forks_on(n, g, false), forks_on(n, g, true));
      };
      auto block = h::with_task_group(body);
      co_await std::move(block);
    };
    bool beside = false;
    co_await h::fork_join(inside(), undisturbed(beside));
    require(n.told == 2, "a strand was not told");
    require(n.told_again == 0, "a strand was told twice");
    require(beside, "the strand beside did not end");
  });
}

// ------------------------------------------------------------- time-outs of one deadline

/// Two blocks around a wait. True: the inner one has thrown, or said that it has not expired.
h::task<> nested(h::time_point inner_end, h::time_point outer_end, bool through_a_fork,
                 bool inner_first) {
  bool inner_threw = false, inner_expired = false, outer_threw = false, outer_expired = false;
  auto inside = [&]() -> h::task<> {
    auto waits = [&](h::timeout_scope& s) -> h::task<> {
      try {
        co_await h::sleep(1000h);
      } catch (...) {
        inner_expired = s.expired();
        throw;
      }
    };
    auto block = h::timeout_at(inner_end, waits);
    try {
      co_await std::move(block);
    } catch (const h::timeout_error&) {
      inner_threw = true;
      if (!inner_first) throw;
    }
    co_await h::sleep(1000h);
  };
  auto around = [&](h::timeout_scope& s) -> h::task<> {
    try {
      if (through_a_fork)
        co_await h::fork_join(inside(), nothing());
      else
        co_await inside();
    } catch (...) {
      outer_expired = s.expired();
      throw;
    }
  };
  auto block = h::timeout_at(outer_end, around);
  try {
    co_await std::move(block);
  } catch (const h::timeout_error&) { outer_threw = true; }
  require(outer_threw && outer_expired, "the outer block did not end by its deadline");
  require(inner_threw == inner_first, "the wrong block has thrown");
  if (inner_first) require(inner_expired, "the inner block threw and was not expired");
  require(h::current_task().cancelling() == 0, "a request is left over");
  co_await h::sleep(1ms);
}

/// Many at once, so that loops are busy and tasks are stolen between two timers.
h::task<> many_nested(h::duration inner, h::duration outer, bool through_a_fork, bool inner_first) {
  std::vector<h::task<>> all;
  const auto start = h::clock::now();
  for (int i = 0; i < 12; ++i)
    all.push_back(nested(start + inner, start + outer, through_a_fork, inner_first));
  auto both = h::gather(std::move(all));
  co_await both;
}

TEST(NestedTimeOuts, OfEqualDeadlinesTheOuterThrows) {
  at_all_loops(1s, [] { return many_nested(50ms, 50ms, false, false); });
}
TEST(NestedTimeOuts, OfEqualDeadlinesTheOuterThrowsThroughAForkJoin) {
  at_all_loops(1s, [] { return many_nested(50ms, 50ms, true, false); });
}
TEST(NestedTimeOuts, TheOuterIsDueFirst) {
  at_all_loops(1s, [] { return many_nested(50ms + 1ns, 50ms, false, false); });
}
TEST(NestedTimeOuts, TheInnerIsDueFirst) {
  at_all_loops(1s, [] { return many_nested(50ms, 50ms + 1ns, false, true); });
}
TEST(NestedTimeOuts, TheInnerIsDueFirstThroughAForkJoin) {
  at_all_loops(1s, [] { return many_nested(50ms, 50ms + 1ns, true, true); });
}

TEST(NestedTimeOuts, OfEqualDeadlinesBothHaveExpired) {
  at_all_loops(1s, []() -> h::task<> {
    bool inner_expired = false, outer_expired = false, inner_threw = false;
    const auto end = h::clock::now() + 50ms;
    auto around = [&](h::timeout_scope& outer) -> h::task<> {
      auto inside = [&](h::timeout_scope& inner) -> h::task<> {
        try {
          co_await h::sleep(1000h);
        } catch (...) {}
        // Clean-up. With several loops the timer of this block may fire later than the one around
        // it, and then interrupts this too.
        for (int i = 0; i < 10 && !inner.expired(); ++i) {
          try {
            co_await h::sleep(1ms);
          } catch (const h::cancelled_error&) {}
        }
        inner_expired = inner.expired();
        throw h::cancelled_error();
      };
      auto block = h::timeout_at(end, inside);
      try {
        co_await std::move(block);
      } catch (const h::timeout_error&) { inner_threw = true; } catch (const h::cancelled_error&) {
        outer_expired = outer.expired();
        throw;
      }
    };
    auto block = h::timeout_at(end, around);
    bool outer_threw = false;
    try {
      co_await std::move(block);
    } catch (const h::timeout_error&) { outer_threw = true; }
    require(outer_threw && !inner_threw, "the inner block has thrown");
    require(inner_expired && outer_expired, "a block was not expired");
  });
}

/// A value whose move throws.
struct unmovable_now {
  unmovable_now() = default;
  unmovable_now(unmovable_now&& other) : armed(other.armed) {
    if (armed) throw std::runtime_error("the move");
  }
  bool armed = false;
};

TEST(TimeOut, AResultWhoseMoveThrowsAfterTheDeadlineLeavesTheBlockOnce) {
  at_all_loops(1s, []() -> h::task<> {
    auto body = []() -> unmovable_now {
      unmovable_now v;
      v.armed = true;
      return v;  // in place: the move that throws comes later
    };
    auto slow = [&body](h::timeout_scope& s) -> h::task<unmovable_now> {
      try {
        co_await h::sleep(1000h);
      } catch (const h::cancelled_error&) {}
      require(s.expired(), "it is not the deadline that came");
      co_return body();
    };
    auto plain = [&body](h::timeout_scope& s) -> unmovable_now {
      s.reschedule(h::clock::now() - 1s);
      return body();
    };
    for (int i = 0; i < 2; ++i) {
      std::string what;
      try {
        if (i == 0) {
          auto block = h::timeout(50ms, slow);
          (void)co_await std::move(block);
        } else {
          auto block = h::timeout(50ms, plain);
          (void)co_await std::move(block);
        }
      } catch (const std::runtime_error& e) { what = e.what(); }
      require(what == "the move", "another error");
      require(h::current_task().cancelling() == 0,
              "a request is left over, or was taken back twice");
    }
    co_await h::sleep(1ms);
  });
}

// ----------------------------------------------------------------- gather

h::task<int> swallows(int value) {
  try {
    co_await h::sleep(1000h);
  } catch (const h::cancelled_error&) {}
  co_return value;
}
h::task<int> swallows_and_fails() {
  try {
    co_await h::sleep(1000h);
  } catch (const h::cancelled_error&) {}
  throw std::runtime_error("a child");
}

TEST(GatherCancel, ChildrenThatSwallowTheCancellationDoNotHideIt) {
  at_all_loops(1s, []() -> h::task<> {
    auto outer = h::create_task([]() -> h::task<> {
      auto both = h::gather(swallows(1), swallows(2));
      (void)co_await both;
      require(false, "it gave values");
    });
    co_await h::sleep(1ms);
    require(outer.cancel(), "it ended by itself");
    try {
      co_await outer;
      require(false, "it ended well");
    } catch (const h::cancelled_error&) {}

    auto both = h::gather(swallows(1), swallows(2));
    co_await h::sleep(1ms);
    require(both.cancel(), "it ended by itself");
    bool cancelled = false;
    try {
      (void)co_await both;
    } catch (const h::cancelled_error&) { cancelled = true; }
    require(cancelled && both.cancelled(), "a gather that was cancelled gave values");
  });
}

TEST(GatherCancel, AnErrorOfAChildWins) {
  at_all_loops(1s, []() -> h::task<> {
    auto both = h::gather(swallows(1), swallows_and_fails());
    co_await h::sleep(1ms);
    require(both.cancel(), "it ended by itself");
    bool failed = false;
    try {
      (void)co_await both;
    } catch (const std::runtime_error&) { failed = true; }
    require(failed && !both.cancelled(), "the error was lost");
  });
}

// ------------------------------------------------------------------- once

h::task<int> one() { co_return 1; }

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
