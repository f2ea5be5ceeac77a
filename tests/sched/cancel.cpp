// SPDX-License-Identifier: MIT
// What cancelling does, wherever a task stands.
#include <heddle/core/future.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

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
using support::until;
using support::until_later;

class Cancel : public support::at_loops {};

/// How a task ended, without throwing.
template <class T>
h::task<std::string> end_of(h::task_handle<T> t) {
  try {
    co_await t;
    co_return "value";
  } catch (const h::cancelled_error& e) {
    co_return e.message().empty() ? "cancelled" : "cancelled: " + e.message();
  } catch (const std::exception& e) { co_return std::string("error: ") + e.what(); }
}

/// Sleeps for ever, having said that it is about to.
h::task<> sleep_long(std::atomic<bool>& started) {
  started = true;
  co_await h::sleep(1h);
}

TEST(CancelOrder, OneThatHasNotStartedNeverRuns) {
  support::run_on_one([]() -> h::task<> {
    bool ran = false;
    auto held = std::make_shared<int>(0);
    auto t = h::create_task([&ran, held]() -> h::task<> {
      ran = true;
      co_return;
    });
    EXPECT_TRUE(t.cancel("m"));
    EXPECT_EQ(co_await end_of(t), "cancelled: m");
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
      EXPECT_EQ(co_await end_of(t), "cancelled: m");
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
    EXPECT_TRUE(went_on);
  }());
}

TEST_P(Cancel, OneThatNeverSuspendsAgainEndsCancelledAllTheSame) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<std::string> {
      h::current_task().cancel();
      co_return "a value that is destroyed, since the cancellation was not delivered";
    });
    EXPECT_EQ(co_await end_of(t), "cancelled");
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
    EXPECT_EQ(t.cancelling(), 1u);
  }());
}

TEST_P(Cancel, ABodyThatThrowsItByItselfEndsCancelledWithoutARequest) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<> {
      co_await h::yield_now();
      throw h::cancelled_error("own");
    });
    EXPECT_EQ(co_await end_of(t), "cancelled: own");
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
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
    EXPECT_EQ(co_await end_of(t), "error: E");
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
    EXPECT_FALSE(caught);
  }());
}

// ------------------------------------------------- forwarding: tasks, futures

TEST_P(Cancel, ATaskThatAwaitsAFutureCancelsIt) {
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
    EXPECT_EQ(co_await end_of(t), "cancelled: m");
    EXPECT_THROW(p.set_value(1), h::invalid_state_error);
  }());
}

TEST_P(Cancel, AFutureThatIsCancelledEndsItsAwaiterWithoutARequest) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    auto t = h::create_task([](h::future<int> f) -> h::task<> { co_await f; }, f);
    EXPECT_TRUE(f.cancel());
    EXPECT_EQ(co_await end_of(t), "cancelled");
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
    EXPECT_EQ(delivered, 1);
  }());
}

TEST_P(Cancel, AJoinWaitsForTheTargetsCleanup) {
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
    EXPECT_EQ(co_await end_of(outer), "cancelled");
    EXPECT_TRUE(inner.cancelled());
    EXPECT_TRUE(cleaned_first);
  }());
}

TEST_P(Cancel, AJoinWhoseTargetSwallowsItGetsTheValue) {
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

TEST_P(Cancel, ItGoesDownALongChainOfJoins) {
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
      const auto end = co_await end_of(t);
      EXPECT_EQ(end, "cancelled: deep");
    }
  }());
}

TEST_P(Cancel, APendingRequestIsForwardedByAJoinThatBeginsLater) {
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
    EXPECT_EQ(co_await end_of(outer), "cancelled");
    EXPECT_TRUE(inner.cancelled());
  }());
}

TEST_P(Cancel, APendingRequestSurvivesTheAwaitOfSomethingDone) {
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
  }());
}

TEST_P(Cancel, InNestedPlainCallsItIsThrownAtTheInnermostAwait) {
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
    EXPECT_EQ(log.joined(), "0 1 2 3");
  }());
}

TEST_P(Cancel, TwoThatAwaitEachOtherCanBothBeCancelled) {
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
    EXPECT_EQ(co_await end_of(a), "cancelled");
    EXPECT_EQ(co_await end_of(b), "cancelled");
  }());
}

// --------------------------------------------------------------- across loops

TEST_P(Cancel, ATaskThatComputesTakesItAtItsNextSuspension) {
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
    EXPECT_EQ(co_await end_of(t), "cancelled");
    EXPECT_TRUE(reached_end);
  }(rt));
}

TEST_P(Cancel, AForeignThreadMayCancelSleepersYieldersAndJoiners) {
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

TEST_P(Cancel, ManyCancellersAndOneSleeperNeverLoseOrDoubleIt) {
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
      EXPECT_EQ(co_await end_of(target), "cancelled");
      EXPECT_GE(took, 1);
      EXPECT_LE(delivered, 1);
    }
  }());
}

TEST_P(Cancel, ARequestThatRacesTheEndIsEitherTakenOrRefused) {
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
      const auto end = co_await end_of(t);
      EXPECT_EQ(end, took ? "cancelled" : "value");
    }
  }());
}

HEDDLE_AT_LOOPS(Cancel);

}  // namespace
