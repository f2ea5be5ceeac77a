// SPDX-License-Identifier: MIT
// Cancelling goes on to what a task awaits, and comes from other loops and threads.
#include <heddle/core/future.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <support/endings.h>
#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::ending;
using support::sleep_long;
using support::until;
using support::until_later;

class CancelForwarding : public support::at_loops {};
class CancelAcrossLoops : public support::at_loops {};

TEST_P(CancelForwarding, ATaskThatAwaitsAFutureCancelsIt) {
  run([]() -> h::task<> {
    h::promise<int> p;
    std::atomic<bool> started{false};
    auto t = h::create_task(
        [](h::future<int> f, std::atomic<bool>& started) -> h::task<> {
          started = true;
          co_await f;
        },
        p.get_future(), std::ref(started));
    co_await until([&] { return started.load(); });
    t.cancel("m");
    EXPECT_EQ(co_await ending(t), "cancelled: m");
    EXPECT_THROW(p.set_value(1), h::invalid_state_error);
  }());
}

TEST_P(CancelForwarding, AFutureThatIsCancelledEndsItsAwaiterWithoutARequest) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    auto t = h::create_task([](h::future<int> f) -> h::task<> { co_await f; }, f);
    EXPECT_TRUE(f.cancel());
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_EQ(t.cancelling(), 0u);
  }());
}

TEST(CancelOrder, TaskAndFutureCancelledAtOnceDeliverOnce) {
  support::run_on_one([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    int delivered = 0;
    auto t = h::create_task(
        [](h::future<int> f, int& delivered) -> h::task<> {
          try {
            co_await f;
          } catch (const h::cancelled_error&) {
            ++delivered;
            throw;
          }
        },
        f, std::ref(delivered));
    co_await h::yield_now();
    f.cancel();
    t.cancel();
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_EQ(delivered, 1);
  }());
}

TEST_P(CancelForwarding, AJoinWaitsForTheTargetsCleanup) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false}, cleaned{false};
    auto inner = h::create_task(
        [](std::atomic<bool>& started, std::atomic<bool>& cleaned) -> h::task<> {
          std::exception_ptr error;
          try {
            co_await sleep_long(started);
          } catch (...) { error = std::current_exception(); }
          co_await h::sleep(1ms);
          cleaned = true;
          std::rethrow_exception(error);
        },
        std::ref(started), std::ref(cleaned));
    bool cleaned_first = false;
    auto outer = h::create_task(
        [](h::task_handle<> inner, std::atomic<bool>& cleaned, bool& cleaned_first) -> h::task<> {
          try {
            co_await inner;
          } catch (const h::cancelled_error&) {
            cleaned_first = cleaned;
            throw;
          }
        },
        inner, std::ref(cleaned), std::ref(cleaned_first));
    co_await until([&] { return started && outer.state().starts_with("waiting"); });
    outer.cancel();
    EXPECT_EQ(co_await ending(outer), "cancelled");
    EXPECT_TRUE(inner.cancelled());
    EXPECT_TRUE(cleaned_first);
  }());
}

TEST_P(CancelForwarding, AJoinWhoseTargetSwallowsItGetsTheValue) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false};
    auto inner = h::create_task(
        [](std::atomic<bool>& started) -> h::task<int> {
          try {
            co_await sleep_long(started);
          } catch (const h::cancelled_error&) {}
          co_return 8;
        },
        std::ref(started));
    std::atomic<bool> joining{false};
    auto outer = h::create_task(
        [](h::task_handle<int> inner, std::atomic<bool>& joining) -> h::task<int> {
          joining = true;
          co_return co_await inner;
        },
        inner, std::ref(joining));
    co_await until([&] { return started && joining; });
    outer.cancel();
    EXPECT_EQ(co_await outer, 8);
    EXPECT_EQ(inner.cancelling(), 1u);
    EXPECT_EQ(outer.cancelling(), 1u);
  }());
}

TEST_P(CancelForwarding, ItGoesDownALongChainOfJoins) {
  run([]() -> h::task<> {
    struct chain {
      static h::task<> link(int n, std::atomic<bool>& started) {
        if (n == 0) {
          co_await sleep_long(started);
          co_return;
        }
        auto next = h::create_task(link(n - 1, started));
        co_await next;
      }
    };
    for (int i = 0; i < support::rounds(20); ++i) {
      std::atomic<bool> started{false};
      auto t = h::create_task(chain::link(1000, started));
      co_await until([&] { return started.load(); });
      t.cancel("deep");
      const auto end = co_await ending(t);
      EXPECT_EQ(end, "cancelled: deep");
    }
  }());
}

TEST_P(CancelForwarding, APendingRequestIsForwardedByAJoinThatBeginsLater) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false};
    auto inner = h::create_task(sleep_long(started));
    co_await until([&] { return started.load(); });
    auto outer = h::create_task(
        [](h::task_handle<> inner) -> h::task<> {
          h::current_task().cancel();
          co_await inner;  // does not throw here at once: forwards, and waits for the end
        },
        inner);
    EXPECT_EQ(co_await ending(outer), "cancelled");
    EXPECT_TRUE(inner.cancelled());
  }());
}

TEST_P(CancelForwarding, APendingRequestSurvivesTheAwaitOfSomethingDone) {
  run([]() -> h::task<> {
    auto done = h::create_task([]() -> h::task<int> { co_return 1; });
    co_await done;
    auto t = h::create_task(
        [](h::task_handle<int> done) -> h::task<> {
          h::current_task().cancel();
          EXPECT_EQ(co_await done, 1);  // ready: no cancellation point
          co_await h::yield_now();
        },
        done);
    EXPECT_EQ(co_await ending(t), "cancelled");
  }());
}

TEST_P(CancelForwarding, InNestedPlainCallsItIsThrownAtTheInnermostAwait) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false};
    support::journal log;
    struct nest {
      static h::task<> down(int n, std::atomic<bool>& started, support::journal& log) {
        try {
          if (n == 0)
            co_await sleep_long(started);
          else
            co_await down(n - 1, started, log);
        } catch (const h::cancelled_error&) {
          log.add(std::to_string(n));
          throw;
        }
      }
    };
    auto t = h::create_task(nest::down(3, started, log));
    co_await until([&] { return started.load(); });
    t.cancel();
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_EQ(log.joined(), "0 1 2 3");
  }());
}

TEST_P(CancelForwarding, TwoThatAwaitEachOtherCanBothBeCancelled) {
  // A deadlock of the user's: nobody can take the request, yet cancelling must return.
  run([]() -> h::task<> {
    h::task_handle<> a, b;
    h::promise<> go;
    auto f = go.get_future();
    a = h::create_task(
        [](h::future<> f, h::task_handle<>& b) -> h::task<> {
          co_await f;
          co_await b;
        },
        f, std::ref(b));
    b = h::create_task(
        [](h::future<> f, h::task_handle<>& a) -> h::task<> {
          co_await f;
          co_await a;
        },
        f, std::ref(a));
    go.set_value();
    co_await until([&] {
      return a.state().starts_with("waiting for a task") &&
             b.state().starts_with("waiting for a task");
    });
    a.cancel();
    EXPECT_EQ(co_await ending(a), "cancelled");
    EXPECT_EQ(co_await ending(b), "cancelled");
  }());
}

// --------------------------------------------------------------- across loops

TEST_P(CancelAcrossLoops, ATaskThatComputesTakesItAtItsNextSuspension) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    if (rt.loop_count() == 1) co_return;  // needs somebody to cancel meanwhile
    std::atomic<bool> computing{false}, asked{false}, reached_end{false};
    auto t = h::create_task(
        [](std::atomic<bool>& computing, std::atomic<bool>& asked,
           std::atomic<bool>& reached_end) -> h::task<> {
          computing = true;
          while (!asked) std::this_thread::yield();
          reached_end = true;
          co_await h::yield_now();
        },
        std::ref(computing), std::ref(asked), std::ref(reached_end));
    co_await until_later([&] { return computing.load(); });
    EXPECT_TRUE(t.cancel());
    asked = true;
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_TRUE(reached_end);
  }(rt));
}

TEST_P(CancelAcrossLoops, AForeignThreadMayCancelSleepersYieldersAndJoiners) {
  h::runtime rt(with());
  for (int round = 0; round < support::rounds(100); ++round) {
    std::vector<h::task_handle<>> all;
    rt.run([](std::vector<h::task_handle<>>& all) -> h::task<> {
      for (int i = 0; i < 10; ++i) {
        all.push_back(h::create_task([]() -> h::task<> { co_await h::sleep(1h); }));
        all.push_back(h::create_task([]() -> h::task<> {
          for (;;) co_await h::yield_now();
        }));
        all.push_back(h::create_task([](h::task_handle<> t) -> h::task<> { co_await t; },
                                     all[static_cast<std::size_t>(3 * i)]));
      }
      co_return;
    }(all));
    for (auto& t : all) t.cancel();
    for (auto& t : all)
      while (!t.done()) std::this_thread::yield();
    for (auto& t : all) ASSERT_TRUE(t.cancelled());
  }
}

TEST_P(CancelAcrossLoops, ManyCancellersAndOneSleeperNeverLoseOrDoubleIt) {
  h::runtime rt(with());
  rt.run([]() -> h::task<> {
    for (int round = 0; round < support::rounds(300); ++round) {
      std::atomic<int> delivered{0};
      auto target = h::create_task(
          [](std::atomic<int>& delivered) -> h::task<> {
            try {
              co_await h::sleep(1h);
            } catch (const h::cancelled_error&) {
              ++delivered;
              throw;
            }
          },
          std::ref(delivered));
      std::vector<h::task_handle<bool>> cancellers;
      for (int i = 0; i < 4; ++i)
        cancellers.push_back(h::create_task(
            [](h::task_handle<> t) -> h::task<bool> { co_return t.cancel(); }, target));
      int took = 0;
      for (auto& c : cancellers) took += co_await c;
      EXPECT_EQ(co_await ending(target), "cancelled");
      EXPECT_GE(took, 1);
      EXPECT_LE(delivered, 1);
    }
  }());
}

TEST_P(CancelAcrossLoops, ARequestThatRacesTheEndIsEitherTakenOrRefused) {
  run([]() -> h::task<> {
    for (int round = 0; round < support::rounds(2000); ++round) {
      h::promise<int> p;
      auto t = h::create_task([](h::future<int> f) -> h::task<int> { co_return co_await f; },
                              p.get_future());
      auto c =
          h::create_task([](h::task_handle<int> t) -> h::task<bool> { co_return t.cancel(); }, t);
      try {
        p.set_value(1);
      } catch (const h::invalid_state_error&) {  // the task forwarded it to the future first
      }
      const bool took = co_await c;
      const auto end = co_await ending(t);
      EXPECT_EQ(end, took ? "cancelled" : "value");
    }
  }());
}

HEDDLE_AT_LOOPS(CancelForwarding);
HEDDLE_AT_LOOPS(CancelAcrossLoops);

}  // namespace
