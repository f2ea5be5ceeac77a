// SPDX-License-Identifier: MIT
// What cancelling does to a task by itself, wherever it stands.
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

class Cancel : public support::at_loops {};

TEST(CancelOrder, OneThatHasNotStartedNeverRuns) {
  support::run_on_one([]() -> h::task<> {
    bool ran = false;
    auto held = std::make_shared<int>(0);
    auto t = h::create_task([&ran, held]() -> h::task<> {
      ran = true;
      co_return;
    });
    EXPECT_TRUE(t.cancel("m"));
    EXPECT_EQ(co_await ending(t), "cancelled: m");
    EXPECT_FALSE(ran);
    EXPECT_TRUE(t.cancelled());
    EXPECT_EQ(held.use_count(), 1);
  }());
}

TEST_P(Cancel, OneThatMayHaveStartedEndsCancelledWithTheMessage) {
  run([]() -> h::task<> {
    for (int i = 0; i < support::rounds(200); ++i) {
      auto t = h::create_task([]() -> h::task<> { co_await h::sleep(1h); });
      EXPECT_TRUE(t.cancel("m"));
      EXPECT_EQ(co_await ending(t), "cancelled: m");
    }
  }());
}

TEST_P(Cancel, ASleeperIsNotRunInsideTheCallAndCountsTheRequest) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false};
    auto t = h::create_task(sleep_long(started));
    co_await until([&] { return started.load(); });
    EXPECT_TRUE(t.cancel());
    EXPECT_TRUE(t.cancelling() == 1 || t.done());
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_FALSE(t.cancel());
  }());
}

TEST(CancelOrder, ASleeperIsNotDoneRightAfterTheCall) {
  support::run_on_one([]() -> h::task<> {
    std::atomic<bool> started{false};
    auto t = h::create_task(sleep_long(started));
    co_await h::yield_now();
    EXPECT_TRUE(started);
    EXPECT_TRUE(t.cancel());
    EXPECT_FALSE(t.done());
    EXPECT_FALSE(t.cancelled());
    EXPECT_EQ(t.cancelling(), 1u);
    co_await h::yield_now();
    EXPECT_TRUE(t.cancelled());
  }());
}

TEST(CancelOrder, ThreeRequestsBeforeItResumesAreDeliveredOnce) {
  support::run_on_one([]() -> h::task<> {
    int delivered = 0;
    auto t = h::create_task(
        [](int& delivered) -> h::task<> {
          std::exception_ptr error;
          try {
            co_await h::sleep(1h);
          } catch (const h::cancelled_error&) {
            ++delivered;
            EXPECT_EQ(h::current_task().cancelling(), 3u);
            error = std::current_exception();
          }
          co_await h::yield_now();
          if (error) std::rethrow_exception(error);
        },
        std::ref(delivered));
    co_await h::yield_now();
    EXPECT_TRUE(t.cancel());
    EXPECT_TRUE(t.cancel());
    EXPECT_TRUE(t.cancel());
    EXPECT_EQ(t.cancelling(), 3u);
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_EQ(delivered, 1);
  }());
}

TEST_P(Cancel, OneThatSwallowsItEndsWithItsValueAndKeepsTheCount) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false};
    auto t = h::create_task(
        [](std::atomic<bool>& started) -> h::task<int> {
          try {
            co_await sleep_long(started);
          } catch (const h::cancelled_error&) {}
          co_return 42;
        },
        std::ref(started));
    co_await until([&] { return started.load(); });
    t.cancel();
    EXPECT_EQ(co_await t, 42);
    EXPECT_FALSE(t.cancelled());
    EXPECT_EQ(t.cancelling(), 1u);
  }());
}

TEST_P(Cancel, ASwallowedOneIsNotDeliveredAgain) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false}, second{false};
    h::promise<int> p;
    auto t = h::create_task(
        [](std::atomic<bool>& started, std::atomic<bool>& second,
           h::future<int> f) -> h::task<int> {
          try {
            co_await sleep_long(started);
          } catch (const h::cancelled_error&) {}
          second = true;
          co_return co_await f;
        },
        std::ref(started), std::ref(second), p.get_future());
    co_await until([&] { return started.load(); });
    t.cancel();
    co_await until_later([&] { return second.load(); });
    p.set_value(5);
    EXPECT_EQ(co_await t, 5);
  }());
}

TEST_P(Cancel, ASecondRequestReachesTheSecondSleep) {
  run([]() -> h::task<> {
    std::atomic<bool> first{false}, second{false};
    auto t = h::create_task(
        [](std::atomic<bool>& first, std::atomic<bool>& second) -> h::task<> {
          try {
            co_await sleep_long(first);
          } catch (const h::cancelled_error&) {}
          co_await sleep_long(second);
        },
        std::ref(first), std::ref(second));
    co_await until([&] { return first.load(); });
    t.cancel();
    co_await until([&] { return second.load(); });
    t.cancel();
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_EQ(t.cancelling(), 2u);
  }());
}

TEST_P(Cancel, ItReachesAnAwaitInTheCleanupToo) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false}, cleaning{false}, interrupted{false};
    auto t = h::create_task(
        [](std::atomic<bool>& started, std::atomic<bool>& cleaning,
           std::atomic<bool>& interrupted) -> h::task<> {
          bool clean_up = false;
          try {
            co_await sleep_long(started);
          } catch (const h::cancelled_error&) { clean_up = true; }
          try {
            if (clean_up) co_await sleep_long(cleaning);
          } catch (const h::cancelled_error&) {
            interrupted = true;
            throw;
          }
        },
        std::ref(started), std::ref(cleaning), std::ref(interrupted));
    co_await until([&] { return started.load(); });
    t.cancel();
    co_await until([&] { return cleaning.load(); });
    t.cancel();
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_TRUE(interrupted);
  }());
}

TEST_P(Cancel, OneThatCancelsItselfIsInterruptedAtItsNextAwait) {
  run([]() -> h::task<> {
    bool went_on = false;
    auto t = h::create_task(
        [](bool& went_on) -> h::task<> {
          EXPECT_TRUE(h::current_task().cancel());
          went_on = true;
          co_await h::sleep(100s);
        },
        std::ref(went_on));
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_TRUE(went_on);
  }());
}

TEST_P(Cancel, OneThatNeverSuspendsAgainEndsCancelledAllTheSame) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<std::string> {
      h::current_task().cancel();
      co_return "a value that is destroyed, since the cancellation was not delivered";
    });
    EXPECT_EQ(co_await ending(t), "cancelled");
  }());
}

TEST_P(Cancel, UncancelAtNoneIsHarmlessAlsoAfterTheEnd) {
  run([]() -> h::task<> {
    auto self = h::current_task();
    EXPECT_EQ(self.uncancel(), 0u);
    auto t = h::create_task([]() -> h::task<> { co_return; });
    co_await t;
    EXPECT_EQ(t.uncancel(), 0u);
    EXPECT_TRUE(t.done());
  }());
}

TEST_P(Cancel, UncancelWithdrawsOneThatWasNotDelivered) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<int> {
      auto self = h::current_task();
      self.cancel();
      EXPECT_EQ(self.cancelling(), 1u);
      EXPECT_EQ(self.uncancel(), 0u);
      co_await h::yield_now();
      co_await h::sleep(100us);
      co_return 1;
    });
    EXPECT_EQ(co_await t, 1);
  }());
}

TEST_P(Cancel, OneOfTwoTakenBackStillDelivers) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<> {
      auto self = h::current_task();
      self.cancel();
      self.cancel();
      EXPECT_EQ(self.uncancel(), 1u);
      co_await h::sleep(1h);
    });
    EXPECT_EQ(co_await ending(t), "cancelled");
  }());
}

TEST(CancelOrder, AFutureSetBeforeTheRequestsStillDeliversWhatIsLeftOfThem) {
  support::run_on_one([]() -> h::task<> {
    h::promise<int> p;
    auto t = h::create_task([](h::future<int> f) -> h::task<int> { co_return co_await f; },
                            p.get_future());
    co_await h::yield_now();
    p.set_value(5);
    t.cancel();
    t.cancel();
    EXPECT_EQ(t.uncancel(), 1u);
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_EQ(t.cancelling(), 1u);
  }());
}

TEST_P(Cancel, ABodyThatThrowsItByItselfEndsCancelledWithoutARequest) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<> {
      co_await h::yield_now();
      throw h::cancelled_error("own");
    });
    EXPECT_EQ(co_await ending(t), "cancelled: own");
    EXPECT_TRUE(t.cancelled());
    EXPECT_EQ(t.cancelling(), 0u);
  }());
}

TEST(CancelOrder, ItIsDeliveredAtAPlainYield) {
  support::run_on_one([]() -> h::task<> {
    bool at_yield = false;
    auto t = h::create_task(
        [](bool& at_yield) -> h::task<> {
          try {
            co_await h::yield_now();
          } catch (const h::cancelled_error&) {
            at_yield = true;
            throw;
          }
        },
        std::ref(at_yield));
    co_await h::yield_now();
    EXPECT_TRUE(t.cancel());
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_TRUE(at_yield);
  }());
}

TEST_P(Cancel, CleanupThatAwaitsRunsOnceAndToItsEnd) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false};
    std::atomic<int> cleaned{0};
    auto t = h::create_task(
        [](std::atomic<bool>& started, std::atomic<int>& cleaned) -> h::task<> {
          std::exception_ptr error;
          try {
            co_await sleep_long(started);
          } catch (...) { error = std::current_exception(); }
          co_await h::yield_now();
          co_await h::sleep(200us);
          ++cleaned;
          std::rethrow_exception(error);
        },
        std::ref(started), std::ref(cleaned));
    co_await until([&] { return started.load(); });
    t.cancel();
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_EQ(cleaned, 1);
  }());
}

TEST_P(Cancel, AHandlerMayTurnItIntoAnError) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false};
    auto t = h::create_task(
        [](std::atomic<bool>& started) -> h::task<> {
          try {
            co_await sleep_long(started);
          } catch (const h::cancelled_error&) { throw std::runtime_error("E"); }
        },
        std::ref(started));
    co_await until([&] { return started.load(); });
    t.cancel();
    EXPECT_EQ(co_await ending(t), "E");
    EXPECT_FALSE(t.cancelled());
  }());
}

TEST_P(Cancel, AHandlerOfOrdinaryErrorsDoesNotSwallowIt) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false}, caught{false};
    auto t = h::create_task(
        [](std::atomic<bool>& started, std::atomic<bool>& caught) -> h::task<> {
          try {
            co_await sleep_long(started);
          } catch (const std::exception&) { caught = true; }
        },
        std::ref(started), std::ref(caught));
    co_await until([&] { return started.load(); });
    t.cancel();
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_FALSE(caught);
  }());
}

HEDDLE_AT_LOOPS(Cancel);

}  // namespace
