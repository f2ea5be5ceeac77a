// SPDX-License-Identifier: MIT
// wait_for.
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

class WaitFor : public support::at_loops {};

TEST_P(WaitFor, WhatEndsInTimeYieldsItsValueAndLeavesNoTimer) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    auto inner = []() -> h::task<int> {
      co_await h::yield_now();
      co_return 6;
    };
    EXPECT_EQ(co_await h::wait_for(inner(), 1h), 6);
    EXPECT_EQ(co_await h::wait_for(inner(), std::nullopt), 6);
    auto t = h::create_task(inner());
    EXPECT_EQ(co_await h::wait_for(t, 1h), 6);
    EXPECT_EQ(co_await h::wait_for(std::move(t), 1h), 6);
    EXPECT_EQ(timers_armed(rt), 0u);
  }(rt));
}

TEST_P(WaitFor, ATaskStillRunningIsCancelledAndAwaited) {
  run([]() -> h::task<> {
    std::atomic<bool> cleaned{false};
    auto t = h::create_task(
        [](std::atomic<bool>& cleaned) -> h::task<> {
          std::exception_ptr error;
          try {
            co_await h::sleep(1h);
          } catch (...) { error = std::current_exception(); }
          co_await h::sleep(1ms);
          cleaned = true;
          std::rethrow_exception(error);
        },
        std::ref(cleaned));
    co_await until([&] { return t.state().starts_with("waiting"); });  // else it never starts
    bool timed_out = false;
    try {
      co_await h::wait_for(t, 1ms);
    } catch (const h::timeout_error&) {
      timed_out = true;
      EXPECT_TRUE(cleaned);
    }
    EXPECT_TRUE(timed_out);
    EXPECT_TRUE(t.cancelled());
  }());
}

TEST_P(WaitFor, ZeroYieldsWhatIsDoneAndNeverStartsWhatIsNot) {
  run([]() -> h::task<> {
    h::promise<int> p;
    p.set_value(2);
    auto f = p.get_future();
    EXPECT_EQ(co_await h::wait_for(f, 0ms), 2);
    bool started = false, timed_out = false;
    try {
      co_await h::wait_for(
          [](bool& started) -> h::task<> {
            started = true;
            co_return;
          }(started),
          -1ms);
    } catch (const h::timeout_error&) { timed_out = true; }
    EXPECT_FALSE(started);
    EXPECT_TRUE(timed_out);
  }());
}

TEST_P(WaitFor, AnErrorWhileItIsCancelledWins) {
  run([]() -> h::task<> {
    std::string seen;
    try {
      co_await h::wait_for(
          []() -> h::task<> {
            try {
              co_await h::sleep(1h);
            } catch (const h::cancelled_error&) { throw std::runtime_error("F"); }
          }(),
          1ms);
    } catch (const std::runtime_error& e) { seen = e.what(); }
    EXPECT_EQ(seen, "F");
  }());
}

TEST_P(WaitFor, ItsOwnTimeoutPassesAsItIs) {
  run([]() -> h::task<> {
    std::string seen;
    try {
      co_await h::wait_for(
          []() -> h::task<> {
            throw h::timeout_error("its own");
            co_return;
          }(),
          1h);
    } catch (const h::timeout_error& e) { seen = e.what(); }
    EXPECT_EQ(seen, "its own");
  }());
}

TEST_P(WaitFor, ACoroutineRunsInlineInTheCallersTask) {
  run([]() -> h::task<> {
    const auto self = h::current_task();
    const auto inside =
        co_await h::wait_for([]() -> h::task<h::any_task> { co_return h::current_task(); }(), 1h);
    EXPECT_EQ(inside, self);
  }());
}

TEST_P(WaitFor, ABareFutureIsCancelledAtTheDeadline) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    bool timed_out = false;
    try {
      co_await h::wait_for(f, 1ms);
    } catch (const h::timeout_error&) { timed_out = true; }
    EXPECT_TRUE(timed_out);
    EXPECT_TRUE(f.cancelled());
  }());
}

TEST_P(WaitFor, CancellingTheCallerCancelsTheInnerTaskFirst) {
  run([]() -> h::task<> {
    std::atomic<bool> inside{false};
    auto inner = h::create_task(
        [](std::atomic<bool>& inside) -> h::task<> {
          inside = true;
          co_await h::sleep(1h);
        },
        std::ref(inside));
    auto outer = h::create_task(
        [](h::task_handle<> inner) -> h::task<> { co_await h::wait_for(inner, 1h); }, inner);
    // Before its first step there would be nothing yet to pass the cancellation on.
    co_await until([&] { return inside.load() && outer.state().starts_with("waiting"); });
    outer.cancel();
    co_await until_later([&] { return outer.done(); });
    EXPECT_TRUE(outer.cancelled());
    EXPECT_TRUE(inner.cancelled());
  }());
}

TEST_P(WaitFor, NestedWithTheOuterFirstThrowsOneTimeout) {
  run([]() -> h::task<> {
    bool inner_cancelled = false, timed_out = false;
    auto inner = [](bool& inner_cancelled) -> h::task<> {
      try {
        co_await h::wait_for([]() -> h::task<> { co_await h::sleep(1h); }(), 1h);
      } catch (const h::cancelled_error&) {
        inner_cancelled = true;
        throw;
      }
    };
    try {
      co_await h::wait_for(inner(inner_cancelled), 1ms);
    } catch (const h::timeout_error&) { timed_out = true; }
    EXPECT_TRUE(inner_cancelled);
    EXPECT_TRUE(timed_out);
  }());
}

HEDDLE_AT_LOOPS(WaitFor);

}  // namespace
