// SPDX-License-Identifier: MIT
// gather and gather_settled.
#include <heddle/core/future.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>

#include <support/endings.h>
#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::error_text;
using support::journal;
using support::until;
using support::until_later;

class Gather : public support::at_loops {};

h::task<int> after(std::chrono::microseconds d, int v) {
  co_await h::sleep(d);
  co_return v;
}
h::task<int> fail_after(std::chrono::microseconds d, const char* why) {
  co_await h::sleep(d);
  throw std::runtime_error(why);
}
h::task<int> sleep_long() {
  co_await h::sleep(1h);
  co_return 0;
}

TEST_P(Gather, YieldsInTheOrderOfTheArgumentsWhateverEndsFirst) {
  run([]() -> h::task<> {
    const auto [a, b, c] = co_await h::gather(after(900us, 1), after(100us, 2), after(500us, 3));
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 2);
    EXPECT_EQ(c, 3);
    std::vector<h::task<int>> all;
    for (int i = 0; i < 100; ++i) all.push_back(after(std::chrono::microseconds(i * 37 % 500), i));
    const auto results = co_await h::gather(std::move(all));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], i);
  }());
}

TEST_P(Gather, OfNothingIsDoneAtOnce) {
  run([]() -> h::task<> {
    auto none = h::gather(std::vector<h::task<int>>{});
    EXPECT_TRUE(none.done());
    EXPECT_TRUE((co_await none).empty());
    auto settled = h::gather_settled(std::vector<h::task<int>>{});
    EXPECT_TRUE(settled.done());
  }());
}

TEST(GatherOrder, TheChildrenStartInTheOrderOfTheArguments) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    auto child = [](journal& log, const char* name) -> h::task<> {
      log.add(name);
      co_return;
    };
    co_await h::gather(child(log, "a"), child(log, "b"), child(log, "c"), child(log, "d"));
  }(log));
  EXPECT_EQ(log.joined(), "a b c d");
}

TEST_P(Gather, TheFirstErrorIsThrownAtOnceAndTheOthersRunOn) {
  support::reports seen;
  auto o = with();
  seen.install(o);
  h::run(
      []() -> h::task<> {
        // The second fails and the slow one ends only when they are told to: after the gather has
        // thrown.
        h::promise<> may_fail, may_end;
        auto slow = h::create_task(
            [](h::future<> gate) -> h::task<int> {
              co_await gate;
              co_return 3;
            },
            may_end.get_future());
        auto second = h::create_task(
            [](h::future<> gate) -> h::task<int> {
              co_await gate;
              throw std::runtime_error("second");
            },
            may_fail.get_future());
        EXPECT_EQ(co_await error_text(
                      [&] { return h::gather(fail_after(500us, "first"), second, slow); }),
                  "first");
        EXPECT_FALSE(slow.done());
        EXPECT_FALSE(second.done());
        EXPECT_EQ(slow.cancelling(), 0u);
        EXPECT_EQ(second.cancelling(), 0u);
        may_fail.set_value();
        co_await until_later([&] { return second.done(); });
        may_end.set_value();
        EXPECT_EQ(co_await slow, 3);
        EXPECT_EQ(slow.cancelling(), 0u);
      }(),
      o);
  EXPECT_EQ(seen.count(), 0u);  // the second error is nobody's
}

TEST_P(Gather, ACancelledChildCountsAsAnError) {
  run([]() -> h::task<> {
    auto victim = h::create_task(sleep_long());
    auto other = h::create_task(after(2ms, 1));
    auto g = h::gather(victim, other);
    victim.cancel();
    EXPECT_EQ(co_await error_text([&]() -> auto& { return g; }), "cancelled");
    EXPECT_TRUE(g.done());
    EXPECT_EQ(h::current_task().cancelling(), 0u);
    EXPECT_EQ(co_await other, 1);
  }());
}

TEST_P(Gather, CancellingTheTaskThatAwaitsCancelsTheChildren) {
  run([]() -> h::task<> {
    for (int i = 0; i < support::rounds(100); ++i) {
      auto a = h::create_task(sleep_long()), b = h::create_task(sleep_long());
      std::atomic<bool> waiting{false}, later{true};
      auto t = h::create_task(
          [](h::task_handle<int> a, h::task_handle<int> b, std::atomic<bool>& waiting,
             std::atomic<bool>& later) -> h::task<> {
            auto g = h::gather(a, b);
            waiting = true;
            try {
              co_await g;
            } catch (const h::cancelled_error&) {
              later = g.cancel();
              throw;
            }
          },
          a, b, std::ref(waiting), std::ref(later));
      if (i % 2) co_await until([&] { return waiting.load(); });
      t.cancel("why");
      EXPECT_EQ(co_await error_text([&] { return t; }), "cancelled: why");
      if (waiting) {
        EXPECT_FALSE(later);
        co_await until_later([&] { return a.done() && b.done(); });
        EXPECT_TRUE(a.cancelled());
        EXPECT_TRUE(b.cancelled());
      } else {
        a.cancel();
        b.cancel();
      }
    }
  }());
}

TEST_P(Gather, SettledHoldsValueErrorAndCancellationInTheirPlaces) {
  run([]() -> h::task<> {
    auto victim = h::create_task(sleep_long());
    victim.cancel();
    auto [value, error, cancelled] =
        co_await h::gather_settled(after(500us, 1), fail_after(100us, "E"), victim);
    EXPECT_TRUE(value.has_value());
    EXPECT_EQ(value.value(), 1);
    EXPECT_FALSE(error.has_value());
    EXPECT_THROW(error.value(), std::runtime_error);
    EXPECT_TRUE(cancelled.cancelled());
    EXPECT_THROW(cancelled.value(), h::cancelled_error);
  }());
}

TEST_P(Gather, SettledDoesNotSwallowACancellation) {
  run([]() -> h::task<> {
    std::atomic<int> rounds{0};
    auto t = h::create_task(
        [](std::atomic<int>& rounds) -> h::task<> {
          for (;;) {
            (void)co_await h::gather_settled(after(50us, 1), after(20us, 2));
            ++rounds;
          }
        },
        std::ref(rounds));
    co_await until_later([&] { return rounds > 3; });
    t.cancel();
    EXPECT_EQ(co_await error_text([&] { return t; }), "cancelled");
  }());
}

TEST_P(Gather, SettledAndCancelledWaitsForEveryCleanup) {
  run([]() -> h::task<> {
    std::atomic<bool> waiting{false}, cleaned{false};
    auto slow_cleanup = [](std::atomic<bool>& waiting, std::atomic<bool>& cleaned) -> h::task<int> {
      waiting = true;
      std::exception_ptr error;
      try {
        co_await h::sleep(1h);
      } catch (...) { error = std::current_exception(); }
      co_await h::sleep(2ms);
      cleaned = true;
      std::rethrow_exception(error);
    };
    auto g = h::gather_settled(sleep_long(), slow_cleanup(waiting, cleaned));
    co_await until([&] { return waiting.load(); });
    EXPECT_TRUE(g.cancel());
    EXPECT_EQ(co_await error_text([&]() -> auto& { return g; }), "cancelled");
    EXPECT_TRUE(cleaned);
  }());
}

TEST_P(Gather, OneTaskMayStandInSeveralPlaces) {
  run([]() -> h::task<> {
    std::atomic<int> ran{0};
    auto t = h::create_task(
        [](std::atomic<int>& ran) -> h::task<int> {
          ++ran;
          co_await h::yield_now();
          co_return 9;
        },
        std::ref(ran));
    const auto [a, b, c, d] = co_await h::gather(t, t, after(100us, 1), t);
    EXPECT_EQ(a + b + c + d, 28);
    EXPECT_EQ(ran, 1);
  }());
}

TEST_P(Gather, OneThatFailedIsNotCancelledAnyMore) {
  run([]() -> h::task<> {
    auto pending = h::create_task(after(2ms, 1));
    auto g = h::gather(fail_after(10us, "E"), pending);
    EXPECT_EQ(co_await error_text([&]() -> auto& { return g; }), "E");
    EXPECT_FALSE(g.cancel());
    EXPECT_EQ(co_await pending, 1);
    EXPECT_EQ(pending.cancelling(), 0u);
  }());
}

TEST_P(Gather, OfFuturesThatAreDoneIsDone) {
  run([]() -> h::task<> {
    h::promise<int> a, b;
    a.set_value(1);
    b.set_value(2);
    auto g = h::gather(a.get_future(), b.get_future());
    EXPECT_TRUE(g.done());
    const auto [x, y] = co_await g;
    EXPECT_EQ(x + y, 3);
  }());
}

TEST_P(Gather, AChildOfAnotherRuntimeIsABadValue) {
  h::runtime other(with());
  h::task_handle<int> theirs;
  other.run([](h::task_handle<int>& theirs) -> h::task<> {
    theirs = h::create_task(sleep_long());
    co_return;
  }(theirs));
  run([](h::task_handle<int> theirs) -> h::task<> {
    EXPECT_THROW((void)h::gather(theirs), h::bad_value);
    EXPECT_THROW((void)h::gather(h::task_handle<int>()), h::usage_error);
    co_return;
  }(theirs));
  EXPECT_EQ(theirs.cancelling(), 0u);
}

TEST_P(Gather, MoveOnlyAndVoidResults) {
  run([]() -> h::task<> {
    auto owned = []() -> h::task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); };
    auto nothing = []() -> h::task<> { co_await h::yield_now(); };
    auto [p, n] = co_await h::gather(owned(), nothing());
    EXPECT_EQ(*p, 4);
    static_assert(std::is_same_v<decltype(n), std::monostate>);
    co_await h::gather(nothing(), nothing());
  }());
}

TEST_P(Gather, OneThatIsDroppedDetachesItsChildrenAndReportsTheFirstError) {
  support::reports seen;
  auto o = with();
  seen.install(o);
  h::run(
      []() -> h::task<> {
        std::atomic<int> ended{0};
        {
          auto child = [](std::atomic<int>& ended) -> h::task<> {
            co_await h::sleep(1ms);
            ++ended;
            throw std::runtime_error("unseen");
          };
          auto g = h::gather(child(ended), child(ended));
        }
        co_await until_later([&] { return ended == 2 && h::all_tasks().size() == 1; });
      }(),
      o);
  EXPECT_EQ(seen.count(), 1u);
}

TEST_P(Gather, ManyChildrenThatEndAtOnceCompleteItExactlyOnce) {
  run([]() -> h::task<> {
    for (int round = 0; round < support::rounds(100); ++round) {
      auto child = [](int i, int round) -> h::task<int> {
        if (i % 3 == 0) co_await h::yield_now();
        if (i == round % 50 || i == 49 - round % 50) throw std::runtime_error(std::to_string(i));
        co_return i;
      };
      std::vector<h::task<int>> plain, collected;
      for (int i = 0; i < 50; ++i) {
        plain.push_back(child(i, round));
        collected.push_back(child(i, round));
      }
      const auto why = co_await error_text([&] { return h::gather(std::move(plain)); });
      EXPECT_TRUE(why == std::to_string(round % 50) || why == std::to_string(49 - round % 50))
          << why;
      auto all = co_await h::gather_settled(std::move(collected));
      for (int i = 0; i < 50; ++i) {
        auto& one = all[static_cast<std::size_t>(i)];
        const bool failed = i == round % 50 || i == 49 - round % 50;
        EXPECT_EQ(one.has_value(), !failed);
        if (!failed) { EXPECT_EQ(one.value(), i); }
      }
    }
  }());
}

TEST_P(Gather, CancellationsThatRaceWithTheEndNeverHang) {
  run([]() -> h::task<> {
    for (int round = 0; round < support::rounds(500); ++round) {
      h::promise<int> p;
      std::atomic<bool> waiting{false};
      auto t = h::create_task(
          [](h::future<int> f, std::atomic<bool>& waiting) -> h::task<int> {
            waiting = true;
            const auto [a, b] = co_await h::gather(f, []() -> h::task<int> {
              co_await h::yield_now();
              co_return 1;
            }());
            co_return a + b;
          },
          p.get_future(), std::ref(waiting));
      auto canceller = h::create_task(
          [](h::task_handle<int> t, std::atomic<bool>& waiting) -> h::task<> {
            co_await until([&] { return waiting || t.done(); });
            t.cancel();
          },
          t, std::ref(waiting));
      if (round % 3) co_await until([&] { return waiting.load(); });
      try {
        p.set_value(1);
      } catch (const h::invalid_state_error&) {}
      const auto end = co_await error_text([&] { return t; });
      EXPECT_TRUE(end == "none" || end == "cancelled");
      co_await canceller;
    }
  }());
}

HEDDLE_AT_LOOPS(Gather);

}  // namespace
