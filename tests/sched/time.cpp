// SPDX-License-Identifier: MIT
// sleep and timeout.
#include <heddle/core/future.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/simulate.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>

#include <support/loops.h>
#include <support/timers.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <thread>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::journal;
using support::timers_armed;
using support::until;
using support::until_later;

class Time : public support::at_loops {};
class Timeout : public support::at_loops {};

// --------------------------------------------------------------------- sleep

TEST_P(Time, ASleepIsNeverShorterAndYieldsItsResult) {
  run([]() -> h::task<> {
    const auto before = h::clock::now();
    EXPECT_EQ(co_await h::sleep(3ms, 7), 7);
    EXPECT_GE(h::clock::now() - before, 3ms);
  }());
}

TEST(TimeOrder, SleepersWakeInTheOrderOfTheirDeadlines) {
  journal log;
  // On a virtual clock: on a real one a thread held for a millisecond between two calls turns the
  // deadlines round.
  h::testing::simulate(1, support::one_loop(), [&log]() -> h::task<> {
    std::vector<h::task_handle<>> all;
    for (int ms : {3, 1, 2, 1})
      all.push_back(h::create_task([&log, ms]() -> h::task<> {
        co_await h::sleep(std::chrono::milliseconds(ms));
        log.add(std::to_string(ms));
      }));
    for (auto& t : all) co_await t;
  });
  EXPECT_EQ(log.joined(), "1 1 2 3");
}

TEST_P(Time, ZeroAndLessAreOneYieldWithoutATimer) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    EXPECT_EQ(co_await h::sleep(0ms, 1), 1);
    EXPECT_EQ(co_await h::sleep(-3s, 2), 2);
    EXPECT_EQ(timers_armed(rt), 0u);
    if (rt.loop_count() == 1) {
      bool other = false;
      auto t = h::create_task(
          [](bool& other) -> h::task<> {
            other = true;
            co_return;
          },
          std::ref(other));
      co_await h::sleep(0s);
      EXPECT_TRUE(other);
      co_await t;
    }
  }(rt));
}

TEST_P(Time, NotANumberIsABadValue) {
  run([]() -> h::task<> {
    const std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
    EXPECT_THROW((void)h::sleep(nan), h::bad_value);
    EXPECT_THROW((void)h::timeout(nan, [] {}), h::bad_value);
    co_return;
  }());
}

TEST_P(Time, EndlessSleepsNeitherOverflowNorWakeAndCanBeCancelled) {
  run([]() -> h::task<> {
    const std::chrono::duration<double> forever(std::numeric_limits<double>::infinity());
    auto a = h::create_task([](auto d) -> h::task<> { co_await h::sleep(d); }, forever);
    auto b =
        h::create_task([]() -> h::task<> { co_await h::sleep(std::chrono::hours(300'000'000)); });
    auto c = h::create_task([]() -> h::task<> { co_await h::sleep(std::chrono::hours::max()); });
    co_await h::sleep(1ms);
    for (auto* t : {&a, &b, &c}) {
      EXPECT_FALSE(t->done());
      t->cancel();
      co_await until_later([&] { return t->done(); });
      EXPECT_TRUE(t->cancelled());
    }
  }());
}

TEST_P(Time, ACancelledSleepRemovesItsTimerAtOnce) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    std::vector<h::task_handle<>> all;
    for (int i = 0; i < 1000; ++i)
      all.push_back(h::create_task([]() -> h::task<> { co_await h::sleep(1h); }));
    co_await until([&] { return timers_armed(rt) == 1000; });
    for (auto& t : all) t.cancel();
    EXPECT_EQ(timers_armed(rt), 0u);
    for (auto& t : all) co_await until([&] { return t.done(); });
  }(rt));
}

TEST_P(Time, AYieldingTaskStarvesNeitherTimersNorInboxes) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    std::atomic<bool> stop{false}, posted{false};
    std::vector<h::task_handle<>> spinners;
    for (unsigned i = 0; i < 2 * rt.loop_count(); ++i)
      spinners.push_back(h::create_task(
          [](std::atomic<bool>& stop) -> h::task<> {
            while (!stop) co_await h::yield_now();
          },
          std::ref(stop)));
    co_await h::sleep(1ms);
    std::thread foreign([&] { rt.loop(0).call_soon([&] { posted = true; }); });
    co_await until([&] { return posted.load(); });
    foreign.join();
    stop = true;
    for (auto& t : spinners) co_await t;
  }(rt));
}

TEST_P(Time, ManyTimersOfManyTasksAllExpire) {
  run([]() -> h::task<> {
    std::atomic<int> woke{0}, early{0};
    constexpr int n = support::sanitized ? 500 : 5000;
    for (int i = 0; i < n; ++i)
      (void)h::create_task(
          [](std::atomic<int>& woke, std::atomic<int>& early, int i) -> h::task<> {
            const auto d = std::chrono::microseconds(i * 7919 % 3000);
            const auto due = h::clock::now() + d;
            co_await h::sleep(d);
            if (h::clock::now() < due) ++early;
            ++woke;
          },
          std::ref(woke), std::ref(early), i);
    co_await until_later([&] { return woke == n; });
    EXPECT_EQ(early, 0);
  }());
}

// ------------------------------------------------------------------- timeout

TEST_P(Timeout, ABlockThatTakesTooLongIsInterruptedAndWhatFollowsIsNot) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    bool timed_out = false, expired = false, interrupted = false;
    try {
      co_await h::timeout(1ms, [&](h::timeout_scope& scope) -> h::task<> {
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {
          interrupted = true;
          expired = scope.expired();
          throw;
        }
      });
    } catch (const h::timeout_error&) { timed_out = true; }
    EXPECT_TRUE(timed_out);
    EXPECT_TRUE(interrupted);
    EXPECT_TRUE(expired);
    EXPECT_EQ(h::current_task().cancelling(), 0u);
    EXPECT_EQ(timers_armed(rt), 0u);
    co_await h::sleep(100us);
  }(rt));
}

TEST_P(Timeout, ABlockThatEndsInTimeYieldsItsResultAndLeavesNoTimer) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    const int v = co_await h::timeout(1h, [](h::timeout_scope& scope) -> h::task<int> {
      EXPECT_TRUE(scope.when().has_value());
      co_await h::yield_now();
      EXPECT_FALSE(scope.expired());
      co_return 3;
    });
    EXPECT_EQ(v, 3);
    EXPECT_EQ(timers_armed(rt), 0u);
  }(rt));
}

TEST_P(Timeout, NoneNeverExpiresAndAPlainBodyWillDo) {
  run([]() -> h::task<> {
    bool had_deadline = true;
    co_await h::timeout(std::nullopt,
                        [&](h::timeout_scope& scope) { had_deadline = scope.when().has_value(); });
    EXPECT_FALSE(had_deadline);
    EXPECT_EQ(co_await h::timeout(1h, [] { return 5; }), 5);
    const auto when = h::clock::now() + 1h;
    co_await h::timeout_at(when, [&](h::timeout_scope& scope) { EXPECT_EQ(scope.when(), when); });
  }());
}

TEST_P(Timeout, APastDeadlineInterruptsTheFirstSuspension) {
  run([]() -> h::task<> {
    for (const auto d : {0ms, -5000ms}) {
      bool started = false, timed_out = false;
      try {
        co_await h::timeout(d, [&]() -> h::task<> {
          started = true;
          co_await h::yield_now();
          ADD_FAILURE() << "went on after the first suspension";
        });
      } catch (const h::timeout_error&) { timed_out = true; }
      EXPECT_TRUE(started);
      EXPECT_TRUE(timed_out);
      EXPECT_EQ(h::current_task().cancelling(), 0u);
    }
  }());
}

h::task<> sleeps_for(h::duration d) { co_await h::sleep(d); }

TEST(TimeoutLimit, CountsFromTheEntryIntoTheBlock) {
  h::testing::simulate(1, {.loops = 2}, []() -> h::task<> {
    auto block = h::timeout(1h, [](h::timeout_scope& scope) -> h::task<> {
      EXPECT_EQ(scope.when(), h::clock::now() + 1h);
      co_await h::sleep(59min);
    });
    auto wait = h::wait_for(sleeps_for(59min), 1h);
    co_await h::sleep(2h);
    co_await std::move(block);
    co_await std::move(wait);
    bool timed_out = false;
    const auto before = h::clock::now();
    try {
      co_await h::timeout(1h, [] { return sleeps_for(2h); });
    } catch (const h::timeout_error&) { timed_out = true; }
    EXPECT_TRUE(timed_out);
    EXPECT_LT(h::clock::now() - before, 61min);
  });
}

TEST_P(Timeout, ABlockThatNeverSuspendsIsNotInterrupted) {
  run([]() -> h::task<> {
    int v = co_await h::timeout(0ms, []() -> h::task<int> { co_return 4; });
    EXPECT_EQ(v, 4);
    EXPECT_EQ(h::current_task().cancelling(), 0u);
    co_await h::yield_now();
    v = co_await h::timeout(100us, []() -> h::task<int> {
      const auto until = h::clock::now() + 1ms;
      while (h::clock::now() < until) {}
      co_return 5;
    });
    EXPECT_EQ(v, 5);
    EXPECT_EQ(h::current_task().cancelling(), 0u);
    co_await h::sleep(100us);
  }());
}

TEST_P(Timeout, AnErrorBeforeOrDuringExpiryWins) {
  run([]() -> h::task<> {
    for (const bool late : {false, true}) {
      std::string seen;
      try {
        co_await h::timeout(1ms, [&]() -> h::task<> {
          try {
            if (late) co_await h::sleep(1h);
          } catch (const h::cancelled_error&) {}
          throw std::runtime_error("E");
        });
      } catch (const std::runtime_error& e) { seen = e.what(); }
      EXPECT_EQ(seen, "E");
      EXPECT_EQ(h::current_task().cancelling(), 0u);
      co_await h::yield_now();
    }
  }());
}

TEST_P(Timeout, ACancellationFromOutsidePassesThrough) {
  run([]() -> h::task<> {
    std::atomic<bool> inside{false}, was_timeout{false};
    auto t = h::create_task(
        [](std::atomic<bool>& inside, std::atomic<bool>& was_timeout) -> h::task<> {
          try {
            co_await h::timeout(1h, [&]() -> h::task<> {
              inside = true;
              co_await h::sleep(1h);
            });
          } catch (const h::timeout_error&) { was_timeout = true; }
        },
        std::ref(inside), std::ref(was_timeout));
    co_await until([&] { return inside.load(); });
    t.cancel();
    co_await until([&] { return t.done(); });
    EXPECT_TRUE(t.cancelled());
    EXPECT_FALSE(was_timeout);
  }());
}

TEST_P(Timeout, TheInnerOneFirstLeavesTheOuterInForce) {
  run([]() -> h::task<> {
    bool inner = false, outer = false;
    try {
      co_await h::timeout(1h, [&](h::timeout_scope& scope) -> h::task<> {
        try {
          co_await h::timeout(500us, []() -> h::task<> { co_await h::sleep(1h); });
        } catch (const h::timeout_error&) { inner = true; }
        scope.reschedule(h::clock::now() + 1ms);
        co_await h::sleep(1h);
      });
    } catch (const h::timeout_error&) { outer = true; }
    EXPECT_TRUE(inner);
    EXPECT_TRUE(outer);
    EXPECT_EQ(h::current_task().cancelling(), 0u);
  }());
}

TEST_P(Timeout, TheOuterOneFirstIsNotTakenForTheInner) {
  run([]() -> h::task<> {
    bool inner_expired = true, outer = false;
    try {
      co_await h::timeout(1ms, [&]() -> h::task<> {
        co_await h::timeout(1h, [&](h::timeout_scope& scope) -> h::task<> {
          try {
            co_await h::sleep(1h);
          } catch (const h::cancelled_error&) {
            inner_expired = scope.expired();
            throw;
          }
        });
      });
    } catch (const h::timeout_error&) { outer = true; }
    EXPECT_FALSE(inner_expired);
    EXPECT_TRUE(outer);
  }());
}

TEST_P(Timeout, BothPastAtOnceEndInTheOuterTimeout) {
  run([]() -> h::task<> {
    bool outer = false;
    try {
      co_await h::timeout(300us, [&]() -> h::task<> {
        co_await h::timeout(200us, []() -> h::task<> {
          const auto until = h::clock::now() + 1ms;
          while (h::clock::now() < until) {}
          co_await h::sleep(1h);
        });
      });
    } catch (const h::timeout_error&) { outer = true; }
    EXPECT_TRUE(outer);
    EXPECT_EQ(h::current_task().cancelling(), 0u);
    co_await h::sleep(100us);
  }());
}

TEST_P(Timeout, AnotherOneMayExpireInTheCleanup) {
  run([]() -> h::task<> {
    bool inner = false, outer = false;
    try {
      co_await h::timeout(1ms, [&]() -> h::task<> {
        std::exception_ptr error;
        try {
          co_await h::sleep(1h);
        } catch (...) { error = std::current_exception(); }
        try {
          co_await h::timeout(1ms, []() -> h::task<> { co_await h::sleep(1h); });
        } catch (const h::timeout_error&) { inner = true; }
        std::rethrow_exception(error);
      });
    } catch (const h::timeout_error&) { outer = true; }
    EXPECT_TRUE(inner);
    EXPECT_TRUE(outer);
    EXPECT_EQ(h::current_task().cancelling(), 0u);
  }());
}

TEST_P(Timeout, ADeadlineMayBeMoved) {
  // On a virtual clock: on a real one the deadline may have passed before the body moves it.
  h::testing::simulate(loops(), with(), []() -> h::task<> {
    co_await h::timeout(50ms, [](h::timeout_scope& scope) -> h::task<> {  // later
      scope.reschedule(h::clock::now() + 1h);
      co_await h::sleep(60ms);
    });
    co_await h::timeout(50ms, [](h::timeout_scope& scope) -> h::task<> {  // to none
      scope.reschedule(std::nullopt);
      co_await h::sleep(60ms);
    });
    for (const auto d : {1ms, -1000ms}) {  // earlier, into the past
      bool timed_out = false;
      try {
        co_await h::timeout(1h, [d](h::timeout_scope& scope) -> h::task<> {
          scope.reschedule(h::clock::now() + d);
          co_await h::sleep(1h);
        });
      } catch (const h::timeout_error&) { timed_out = true; }
      EXPECT_TRUE(timed_out);
    }
    EXPECT_EQ(h::current_task().cancelling(), 0u);
  });
}

TEST_P(Timeout, MovingADeadlineThatExpiredIsAUsageError) {
  run([]() -> h::task<> {
    bool refused = false;
    try {
      co_await h::timeout(1ms, [&](h::timeout_scope& scope) -> h::task<> {
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {
          EXPECT_THROW(scope.reschedule(h::clock::now() + 1h), h::usage_error);
          refused = true;
          throw;
        }
      });
    } catch (const h::timeout_error&) {}
    EXPECT_TRUE(refused);
  }());
}

TEST_P(Timeout, ExpiryThatRacesTheEndOfTheBlockLeavesNoTrace) {
  run([]() -> h::task<> {
    int timed_out = 0, in_time = 0;
    for (int i = 0; i < support::rounds(500); ++i) {
      try {
        co_await h::timeout(std::chrono::microseconds(50 + i % 40),
                            []() -> h::task<> { co_await h::sleep(60us); });
        ++in_time;
      } catch (const h::timeout_error&) { ++timed_out; }
      EXPECT_EQ(h::current_task().cancelling(), 0u);
      co_await h::yield_now();
    }
    EXPECT_EQ(timed_out + in_time, support::rounds(500));
  }());
}

HEDDLE_AT_LOOPS(Time);
HEDDLE_AT_LOOPS(Timeout);

}  // namespace
