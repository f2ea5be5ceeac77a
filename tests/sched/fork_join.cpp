// SPDX-License-Identifier: MIT
// fork_join: results, failures, strands that wait and move, cancellation.
#include "sched/small_tasks.h"

#include <heddle/core/future.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/to_thread.h>

#include <support/endings.h>
#include <support/loops.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace small_tasks;
using namespace std::chrono_literals;
using support::error_text;
using support::until;
using support::until_later;

class ForkJoin : public support::at_loops {};

TEST_P(ForkJoin, YieldsTheResultsInTheOrderOfTheArguments) {
  run([]() -> h::task<> {
    auto [a, b, c] = co_await h::fork_join(give_late(1), give(2), give_late(3));
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 2);
    EXPECT_EQ(c, 3);
  }());
}

TEST_P(ForkJoin, TakesValuesReferencesMoveOnlyResultsAndVoid) {
  run([]() -> h::task<> {
    int object = 4;
    bool ran = false;
    auto [text, reference, pointer, nothing] = co_await h::fork_join(
        []() -> h::task<std::string> { co_return std::string(100, 'x'); }(),
        [](int& o) -> h::task<int&> { co_return o; }(object),
        []() -> h::task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); }(),
        [](bool& ran) -> h::task<> {
          ran = true;
          co_return;
        }(ran));
    EXPECT_EQ(text.size(), 100u);
    EXPECT_EQ(&reference, &object);
    EXPECT_EQ(*pointer, 5);
    EXPECT_TRUE(ran);
    static_assert(std::is_same_v<decltype(nothing), std::monostate>);
  }());
}

TEST_P(ForkJoin, OfNothingButVoidYieldsNothing) {
  run([]() -> h::task<> {
    std::atomic<int> ran{0};
    auto body = [](std::atomic<int>& ran) -> h::task<> {
      ++ran;
      co_return;
    };
    static_assert(std::is_void_v<decltype(h::fork_join(body(ran), body(ran)).await_resume())>);
    co_await h::fork_join(body(ran), body(ran));
    EXPECT_EQ(ran, 2);
    co_await h::fork_join(body(ran));
    EXPECT_EQ(ran, 3);
  }());
}

TEST_P(ForkJoin, ARangeMayHoldNothingOneOrAThousand) {
  run([]() -> h::task<> {
    for (int n : {0, 1, 2, 3, 1000}) {
      std::vector<h::task<int>> all;
      for (int i = 0; i < n; ++i) all.push_back(i % 100 == 7 ? give_late(i) : give(i));
      const auto results = co_await h::fork_join(std::move(all));
      EXPECT_EQ(static_cast<int>(results.size()), n);
      for (int i = 0; i < n; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], i);
    }
    std::vector<h::task<>> nothing;
    co_await h::fork_join(std::move(nothing));
  }());
}

TEST_P(ForkJoin, AnArrayYieldsAnArray) {
  run([]() -> h::task<> {
    std::array<h::task<int>, 3> three = {give(1), give_late(2), give(3)};
    const std::array<int, 3> results = co_await h::fork_join(std::move(three));
    EXPECT_EQ(results, (std::array<int, 3>{1, 2, 3}));
    std::array<h::task<int>, 0> none;
    const std::array<int, 0> nothing = co_await h::fork_join(std::move(none));
    EXPECT_TRUE(nothing.empty());
    std::array<h::task<std::unique_ptr<int>>, 1> owner;
    owner[0] = []() -> h::task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); }();
    const auto owned = co_await h::fork_join(std::move(owner));
    EXPECT_EQ(*owned[0], 4);
    static_assert(
        std::is_void_v<decltype(h::fork_join(std::array<h::task<>, 2>()).await_resume())>);
  }());
}

TEST_P(ForkJoin, ASpanOfChildrenMovesItsResultsWhereTheCallerWantsThem) {
  run([]() -> h::task<> {
    std::array<h::task<int>, 4> some;
    std::array<int, 4> results = {-1, -1, -1, -1};
    for (std::size_t n : {0u, 1u, 3u}) {
      for (std::size_t i = 0; i < n; ++i) some[i] = i == 1 ? give_late(int(i)) : give(int(i));
      co_await h::fork_join(std::span(some).first(n), results);
      for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(results[i], i < n ? int(i) : -1);
      for (auto& child : some) EXPECT_FALSE(child.valid()) << "the frame is freed";
    }
    std::atomic<int> ran{0};
    const auto count = [](std::atomic<int>& ran) -> h::task<> {
      ++ran;
      co_return;
    };
    std::array<h::task<>, 2> both = {count(ran), count(ran)};
    co_await h::fork_join(std::span(both));
    EXPECT_EQ(ran, 2);
  }());
}

TEST_P(ForkJoin, AFailureLeavesTheSpanOfResultsAsItWas) {
  run([]() -> h::task<> {
    const auto fail = []() -> h::task<int> {
      throw std::runtime_error("no");
      co_return 0;
    };
    std::array<h::task<int>, 2> some = {give(7), fail()};
    std::array<int, 2> results = {-1, -1};
    std::string text;
    auto both = h::fork_join(std::span(some), results);
    try {
      co_await both;
    } catch (const std::runtime_error& e) { text = e.what(); }
    EXPECT_EQ(text, "no");
    EXPECT_EQ(results, (std::array<int, 2>{-1, -1}));
    some[0] = give(1);
    some[1] = give(2);
    EXPECT_THROW((void)h::fork_join(std::span(some), std::span(results).first(1)), h::bad_value);
    co_await h::fork_join(std::span(some), results);
    EXPECT_EQ(results, (std::array<int, 2>{1, 2}));
  }());
}

TEST_P(ForkJoin, RecursionComputesFib) { EXPECT_EQ(run(fib(22)), 17711); }

TEST_P(ForkJoin, RecursionWhoseLeavesWaitComputesFib) {
  EXPECT_EQ(run(restless_fib(support::sanitized ? 10 : 14)), support::sanitized ? 55 : 377);
}

TEST_P(ForkJoin, DeepRecursionUsesNoStack) {
  struct deep {
    static h::task<int> down(int n) {
      if (n == 0) co_return 0;
      auto [a, b] = co_await h::fork_join(down(n - 1), give(1));
      co_return a + b;
    }
    static h::task<int> down_last(int n) {
      if (n == 0) co_return 0;
      auto [a, b] = co_await h::fork_join(give(1), down_last(n - 1));
      co_return a + b;
    }
  };
  constexpr int n = support::sanitized ? 2000 : 100'000;
  EXPECT_EQ(run(deep::down(n)), n);
  EXPECT_EQ(run(deep::down_last(n)), n);
}

TEST_P(ForkJoin, ManyTasksMayForkAtOnce) {
  run([]() -> h::task<> {
    std::vector<h::task_handle<int>> all;
    for (int i = 0; i < 30; ++i) all.push_back(h::create_task(i % 2 ? fib(12) : restless_fib(7)));
    for (int i = 0; i < 30; ++i)
      EXPECT_EQ(co_await all[static_cast<std::size_t>(i)], i % 2 ? 144 : 13);
  }());
}

TEST_P(ForkJoin, TheStrandsAreTheEnclosingTask) {
  run([]() -> h::task<> {
    const auto self = h::current_task();
    std::atomic<int> wrong{0};
    auto child = [](h::any_task self, std::atomic<int>& wrong, int kind) -> h::task<> {
      if (h::current_task() != self) ++wrong;
      if (kind == 1) co_await h::yield_now();
      if (kind == 2) co_await h::sleep(100us);
      if (h::current_task() != self) ++wrong;
      co_await h::fork_join(
          [](h::any_task self, std::atomic<int>& wrong) -> h::task<> {
            co_await h::yield_now();
            if (h::current_task() != self) ++wrong;
          }(self, wrong),
          [](h::any_task self, std::atomic<int>& wrong) -> h::task<> {
            if (h::current_task() != self) ++wrong;
            co_return;
          }(self, wrong));
      if (h::current_task() != self) ++wrong;
    };
    for (int i = 0; i < 20; ++i) {
      co_await h::fork_join(child(self, wrong, i % 3), child(self, wrong, 1),
                            child(self, wrong, 2));
      if (h::current_task() != self) ++wrong;
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(h::all_tasks().size(), 1u);
  }());
}

TEST_P(ForkJoin, ThrowsTheFirstFailureInTheOrderOfTheArguments) {
  run([]() -> h::task<> {
    EXPECT_EQ(co_await error_text([&] { return h::fork_join(give(1), fail("two"), give(3)); }),
              "two");
    EXPECT_EQ(co_await error_text([&] { return h::fork_join(fail("one"), fail("two")); }), "one");
    EXPECT_EQ(co_await error_text([&] { return h::fork_join(fail_late("late"), give(2)); }),
              "late");
  }());
}

TEST_P(ForkJoin, AnOrdinaryErrorGoesBeforeTheCancellationThatItCaused) {
  run([]() -> h::task<> {
    auto sleeper = []() -> h::task<int> {
      co_await h::sleep(1h);
      co_return 0;
    };
    EXPECT_EQ(co_await error_text([&] { return h::fork_join(sleeper(), fail_late("E")); }), "E");
  }());
}

TEST(ForkJoinOnOneLoop, SiblingsThatHaveNotStartedAreSkipped) {
  support::run_on_one([]() -> h::task<> {
    bool ran = false;
    EXPECT_EQ(co_await error_text([&] {
                return h::fork_join(fail("E"), [](bool& ran) -> h::task<int> {
                  ran = true;
                  co_return 1;
                }(ran));
              }),
              "E");
    EXPECT_FALSE(ran);
  }());
}

TEST_P(ForkJoin, AChildWhoseErrorIsCaughtInsideDoesNoHarm) {
  run([]() -> h::task<> {
    auto careful = []() -> h::task<int> {
      try {
        (void)co_await fail_late("caught");
      } catch (const std::runtime_error&) {}
      co_return 1;
    };
    auto [a, b] = co_await h::fork_join(careful(), give(2));
    EXPECT_EQ(a + b, 3);
  }());
}

TEST_P(ForkJoin, AnEmptyChildIsAUsageErrorAndNothingStarts) {
  run([]() -> h::task<> {
    bool ran = false;
    auto child = [](bool& ran) -> h::task<int> {
      ran = true;
      co_return 1;
    };
    EXPECT_THROW((void)h::fork_join(child(ran), h::task<int>()), h::usage_error);
    EXPECT_FALSE(ran);
    co_return;
  }());
}

TEST_P(ForkJoin, AChildThatWasAwaitedBeforeIsAUsageError) {
  run([]() -> h::task<> {
    auto child = give(1);
    (void)co_await child;
    EXPECT_THROW((void)h::fork_join(std::move(child), give(2)), h::usage_error);
  }());
}

TEST_P(ForkJoin, APinnedParentResumesAtHome) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    h::task_options o;
    o.loop = &rt.loop(rt.loop_count() - 1);
    auto t = h::create_task(
        o,
        [](unsigned home) -> h::task<int> {
          int wrong = 0;
          for (int i = 0; i < 50; ++i) {
            auto [a, b, c] = co_await h::fork_join(fib(8), give_late(1), fib(8));
            if (a + b + c != 43 || h::current_loop().index() != home) ++wrong;
          }
          co_return wrong;
        },
        rt.loop_count() - 1);
    EXPECT_EQ(co_await t, 0);
  }(rt));
}

TEST_P(ForkJoin, StrandsMayWaitForTasksFuturesAndThreads) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto shared = h::create_task(give_late(1));
    auto waits_for_task = [](h::task_handle<int> t) -> h::task<int> { co_return co_await t; };
    auto waits_for_future = [](h::future<int> f) -> h::task<int> { co_return co_await f; };
    auto waits_for_thread = []() -> h::task<int> {
      co_return co_await h::to_thread([] { return 4; });
    };
    auto sets = [](h::promise<int>& p) -> h::task<int> {
      co_await h::sleep(500us);
      p.set_value(2);
      co_return 8;
    };
    auto [a, b, c, d] = co_await h::fork_join(
        waits_for_task(shared), waits_for_future(p.get_future()), waits_for_thread(), sets(p));
    EXPECT_EQ(a + b + c + d, 15);
  }());
}

TEST_P(ForkJoin, AStormOfForksStarvesNeitherTimersNorOtherTasks) {
  run([]() -> h::task<> {
    std::atomic<bool> stop{false};
    struct storm {
      static h::task<> blow(std::atomic<bool>& stop) {
        while (!stop) co_await h::fork_join(fib(8), fib(8));
      }
    };
    std::vector<h::task_handle<>> storms;
    for (int i = 0; i < 10; ++i) storms.push_back(h::create_task(storm::blow(stop)));
    for (int i = 0; i < 5; ++i) co_await h::sleep(1ms);
    for (int i = 0; i < 5; ++i) co_await h::yield_now();
    stop = true;
    for (auto& s : storms) co_await s;
  }());
}

// fib(22) forks 28656 times and a turn is 2048 forks at most, so there are 14 turns or more.
TEST(ForkJoinOnOneLoop, AllThatIsReadyGetsItsStepBetweenTwoTurnsOfForks) {
  constexpr int tasks = 64;
  bool over = false;
  long steps = 0;
  h::run(
      [](bool& over, long& steps) -> h::task<> {
        std::vector<h::task_handle<void>> all;
        for (int i = 0; i < tasks; ++i) {
          all.push_back(h::create_task([&over, &steps]() -> h::task<> {
            while (!over) {
              ++steps;
              co_await h::yield_now();
            }
          }));
        }
        co_await h::yield_now();
        EXPECT_EQ(co_await fib(22), 17711);
        over = true;
        for (auto& t : all) co_await t;
      }(over, steps),
      {.loops = 1});
  EXPECT_GE(steps, 13 * tasks);
}

HEDDLE_AT_LOOPS(ForkJoin);

}  // namespace
