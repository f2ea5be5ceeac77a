// SPDX-License-Identifier: MIT
// A cancellation reaches everything below: strands below a strand, and children of a gather.
#include "sched/simulated_forks.h"

#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/parallel_for_each.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>

#include <string>

namespace {

using namespace simulated_forks;

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

}  // namespace
