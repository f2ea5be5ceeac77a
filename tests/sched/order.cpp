// SPDX-License-Identifier: MIT
// asyncio's order and rules with one loop, where failures and cancellations meet.
#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;

h::task<> fails(const char* what) {
  throw std::runtime_error(what);
  co_return;
}

h::task<> fails_after_a_wait(h::future<void> go, const char* what) {
  co_await go;
  throw std::runtime_error(what);
}

TEST(OneLoop, TwoChildrenThatFailInOnePassAreBothKept) {
  support::run_on_one([]() -> h::task<> {
    for (const bool waiting : {false, true}) {
      std::size_t errors = 0;
      h::promise<void> go;
      auto body = [&go, waiting](h::task_group& g) -> h::task<> {
        if (waiting) {
          g.create_task(fails_after_a_wait(go.get_future(), "first"));
          g.create_task(fails_after_a_wait(go.get_future(), "second"));
          co_await h::yield_now();
          go.set_value();
        } else {
          g.create_task(fails("first"));
          g.create_task(fails("second"));
        }
        co_await h::sleep(1h);
      };
      auto block = h::with_task_group(body);
      try {
        co_await std::move(block);
      } catch (const h::exception_group& e) { errors = e.exceptions().size(); }
      EXPECT_EQ(errors, 2u) << waiting;
      EXPECT_EQ(h::current_task().cancelling(), 0u);
    }
  }());
}

TEST(OneLoop, AGroupTakesChildrenUntilItLearnsOfTheFailure) {
  support::run_on_one([]() -> h::task<> {
    bool cancelled = false;
    auto body = [&cancelled](h::task_group& g) -> h::task<> {
      g.create_task(fails("first"));
      auto waits = [&cancelled]() -> h::task<> {
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {
          cancelled = true;
          throw;
        }
      };
      g.create_task(waits);
      co_await h::sleep(1h);
    };
    auto block = h::with_task_group(body);
    std::size_t errors = 0;
    try {
      co_await std::move(block);
    } catch (const h::exception_group& e) { errors = e.exceptions().size(); }
    EXPECT_EQ(errors, 1u);
    EXPECT_TRUE(cancelled);
  }());
}

TEST(Cancel, OfATaskThatFailedCountsAsLookedAt) {
  support::reports seen;
  auto o = support::one_loop();
  auto main = []() -> h::task<> {
    auto failed = h::create_task(fails("looked at"));
    co_await h::sleep(1ms);
    EXPECT_FALSE(failed.cancel());
    h::promise<void> p;
    auto f = p.get_future();
    p.set_exception(std::make_exception_ptr(std::runtime_error("looked at")));
    EXPECT_FALSE(f.cancel());
  };
  h::run(main(), seen.install(o));
  EXPECT_EQ(seen.count(), 0u);
}

}  // namespace
