// SPDX-License-Identifier: MIT
#include "conformance.h"

namespace {

using namespace conformance;

CASES(CANC);

/// Counts in `delivered` how often a sleep of an hour was cancelled, and passes it on.
h::task<> sleep_and_count(std::atomic<int>& delivered) {
  try {
    co_await h::sleep(1h);
  } catch (const h::cancelled_error&) {
    ++delivered;
    throw;
  }
}

TEST_P(CANC, CANC_01_OneThatHasNotStartedNeverRuns) {
  run([]() -> h::task<> {
    for (int i = 0; i < rounds(300); ++i) {
      std::atomic<bool> ran{false};
      auto held = std::make_shared<int>(0);
      auto t = h::create_task([&ran, held]() -> h::task<> {
        ran = true;
        co_await h::sleep(1h);
      });
      HOLDS(t.cancel("m"));
      EQUAL(co_await ending(t), "Cancelled: m");
      HOLDS(t.cancelled());
      if (one_loop()) HOLDS(!ran);
      EQUAL(held.use_count(), 1);
    }
  });
}

TEST_P(CANC, CANC_02_ASleeperIsNotRunInsideTheCall) {
  run([]() -> h::task<> {
    for (int i = 0; i < rounds(100); ++i) {
      auto t = h::create_task(sleep_long());
      co_await until_waiting(t);
      HOLDS(t.cancel());
      if (one_loop()) {
        HOLDS(!t.done());
        HOLDS(!t.cancelled());
        EQUAL(t.cancelling(), 1u);
      } else {
        HOLDS(t.cancelling() == 1 || t.done());
      }
      EQUAL(co_await ending(t), "Cancelled");
      HOLDS(t.cancelled());
      HOLDS(!t.cancel());
    }
  });
}

TEST_P(CANC, CANC_03_SeveralRequestsBeforeItResumesAreOneDelivery) {
  run([]() -> h::task<> {
    for (int i = 0; i < rounds(100); ++i) {
      std::atomic<int> delivered{0};
      std::atomic<int> cleaned{0};
      auto t = h::create_task(
          [](std::atomic<int>& delivered, std::atomic<int>& cleaned) -> h::task<> {
            std::exception_ptr error;
            try {
              co_await sleep_and_count(delivered);
            } catch (...) { error = std::current_exception(); }
            try {
              co_await h::yield_now();
              ++cleaned;
            } catch (const h::cancelled_error&) { ++delivered; }
            std::rethrow_exception(error);
          },
          std::ref(delivered), std::ref(cleaned));
      co_await until_waiting(t);
      const bool first = t.cancel(), second = t.cancel(), third = t.cancel();
      HOLDS(first);
      if (one_loop()) {
        HOLDS(second && third);
        EQUAL(t.cancelling(), 3u);
      }
      EQUAL(co_await ending(t), "Cancelled");
      if (one_loop()) {
        EQUAL(delivered.load(), 1);
        EQUAL(cleaned.load(), 1);
      } else {
        HOLDS(delivered >= 1 && delivered <= 2);  // at most one a suspension
      }
    }
  });
}

TEST_P(CANC, CANC_04_OneThatSwallowsItEndsWithItsValue) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<int> {
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) {}
      co_return 42;
    });
    co_await until_waiting(t);
    HOLDS(t.cancel());
    EQUAL(co_await t, 42);
    HOLDS(!t.cancelled());
    EQUAL(t.cancelling(), 1u);
  });
}

TEST_P(CANC, CANC_05_ASwallowedOneIsNotDeliveredAgain) {
  run([]() -> h::task<> {
    for (int i = 0; i < rounds(100); ++i) {
      h::promise<int> p;
      std::atomic<bool> second{false};
      auto t = h::create_task(
          [](h::future<int> f, std::atomic<bool>& second) -> h::task<int> {
            try {
              co_await h::sleep(1h);
            } catch (const h::cancelled_error&) {}
            second = true;
            co_return co_await f;
          },
          p.get_future(), std::ref(second));
      co_await until_waiting(t);
      t.cancel();
      co_await until([&] { return second.load(); });
      if (i % 2) co_await until_waiting(t);
      p.set_value(5);
      EQUAL(co_await t, 5);
      EQUAL(t.cancelling(), 1u);
    }
  });
}

TEST_P(CANC, CANC_06_ASecondRequestReachesTheSecondSleep) {
  run([]() -> h::task<> {
    std::atomic<int> delivered{0};
    auto t = h::create_task(
        [](std::atomic<int>& delivered) -> h::task<> {
          try {
            co_await sleep_and_count(delivered);
          } catch (const h::cancelled_error&) {}
          co_await sleep_and_count(delivered);
        },
        std::ref(delivered));
    co_await until_waiting(t);
    t.cancel();
    co_await until([&] { return delivered == 1; });
    HOLDS(t.cancel());
    EQUAL(co_await ending(t), "Cancelled");
    EQUAL(delivered.load(), 2);
    EQUAL(t.cancelling(), 2u);
  });
}

TEST_P(CANC, CANC_07_ItReachesAnAwaitInTheCleanupToo) {
  run([]() -> h::task<> {
    std::atomic<int> delivered{0};
    auto t = h::create_task(
        [](std::atomic<int>& delivered) -> h::task<> {
          std::exception_ptr error;
          try {
            co_await sleep_and_count(delivered);
          } catch (...) { error = std::current_exception(); }
          co_await sleep_and_count(delivered);
          std::rethrow_exception(error);
        },
        std::ref(delivered));
    co_await until_waiting(t);
    t.cancel();
    co_await until([&] { return delivered == 1; });
    co_await until_waiting(t);
    HOLDS(t.cancel());
    EQUAL(co_await ending(t), "Cancelled");
    EQUAL(delivered.load(), 2);
  });
}

TEST_P(CANC, CANC_08_OneThatCancelsItselfIsInterruptedAtItsNextAwait) {
  run([]() -> h::task<> {
    bool went_on = false, after = false;
    auto t = h::create_task(
        [](bool& went_on, bool& after) -> h::task<> {
          HOLDS(h::current_task().cancel());
          went_on = true;
          co_await h::sleep(100s);
          after = true;
        },
        std::ref(went_on), std::ref(after));
    EQUAL(co_await ending(t), "Cancelled");
    HOLDS(went_on);
    HOLDS(!after);
    // Without another await it ends cancelled all the same.
    auto last = h::create_task([]() -> h::task<int> {
      h::current_task().cancel();
      co_return 1;
    });
    EQUAL(co_await ending(last), "Cancelled");
  });
}

TEST_P(CANC, CANC_13_TheFutureThatItAwaitsIsCancelled) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    auto t = h::create_task([](h::future<int> f) -> h::task<int> { co_return co_await f; }, f);
    co_await until_waiting(t);
    HOLDS(t.cancel("m"));
    HOLDS(f.cancelled());
    THROWS(h::invalid_state_error, p.set_result(1));
    EQUAL(co_await ending(t), "Cancelled: m");
  });
}

TEST_P(CANC, CANC_14_TaskAndFutureCancelledTogetherAreOneDelivery) {
  run([]() -> h::task<> {
    for (int i = 0; i < rounds(300); ++i) {
      h::promise<int> p;
      auto f = p.get_future();
      std::atomic<int> delivered{0};
      auto t = h::create_task(
          [](h::future<int> f, std::atomic<int>& delivered) -> h::task<> {
            try {
              co_await f;
            } catch (const h::cancelled_error&) {
              ++delivered;
              throw;
            }
          },
          f, std::ref(delivered));
      co_await until_waiting(t);
      if (i % 2) {
        f.cancel();
        t.cancel();
      } else {
        t.cancel();
        f.cancel();
      }
      EQUAL(co_await ending(t), "Cancelled");
      EQUAL(delivered.load(), 1);
    }
  });
}

TEST_P(CANC, CANC_18_WhatIsLeftOfTheRequestsAtTheResumeIsDelivered) {
  run([]() -> h::task<> {
    for (int i = 0; i < rounds(100); ++i) {
      h::promise<int> p;
      auto t = h::create_task([](h::future<int> f) -> h::task<int> { co_return co_await f; },
                              p.get_future());
      co_await until_waiting(t);
      p.set_value(5);
      const bool first = t.cancel(), second = t.cancel();
      t.uncancel();
      const auto end = co_await ending(t);
      if (one_loop()) {
        EQUAL(end, "Cancelled");
        EQUAL(t.cancelling(), 1u);
      } else if (!first) {
        EQUAL(end, "value");  // it had ended
      } else if (!second) {
        HOLDS(end == "Cancelled" || end == "value");
      } else {
        EQUAL(end, "Cancelled");
      }
    }
  });
}

TEST_P(CANC, CANC_18_AllTakenBackBeforeTheResumeLeavesNothingToDeliver) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<int> {
      const auto self = h::current_task();
      self.cancel();
      EQUAL(self.uncancel(), 0u);
      co_await h::yield_now();
      co_await h::sleep(100us);
      co_return 1;
    });
    EQUAL(co_await t, 1);
  });
}

TEST_P(CANC, CANC_20_UncancelAtNoneAndAfterTheEndDoNothing) {
  run([]() -> h::task<> {
    const auto self = h::current_task();
    EQUAL(self.uncancel(), 0u);
    EQUAL(self.cancelling(), 0u);
    auto t = h::create_task([]() -> h::task<int> { co_return 1; });
    co_await t;
    EQUAL(t.uncancel(), 0u);
    EQUAL(co_await t, 1);
    auto cancelled = h::create_task(sleep_long());
    co_await until_waiting(cancelled);
    cancelled.cancel();
    co_await until_done(cancelled);
    EQUAL(cancelled.uncancel(), 1u);
    EQUAL(cancelled.cancelling(), 1u);
    HOLDS(cancelled.cancelled());
  });
}

TEST_P(CANC, CANC_21_ABodyThatThrowsItByItselfEndsCancelled) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<> {
      co_await h::yield_now();
      throw h::cancelled_error("own");
    });
    EQUAL(co_await ending(t), "Cancelled: own");
    HOLDS(t.cancelled());
    EQUAL(t.cancelling(), 0u);
  });
}

TEST_P(CANC, CANC_22_ItIsDeliveredAtAPlainYield) {
  run([]() -> h::task<> {
    std::atomic<bool> yields{false};
    std::atomic<int> at_yield{0};
    auto t = h::create_task(
        [](std::atomic<bool>& yields, std::atomic<int>& at_yield) -> h::task<> {
          try {
            for (;;) {
              co_await h::yield_now();
              yields = true;
            }
          } catch (const h::cancelled_error&) {
            ++at_yield;
            throw;
          }
        },
        std::ref(yields), std::ref(at_yield));
    co_await until([&] { return yields.load(); });
    HOLDS(t.cancel());
    EQUAL(co_await ending(t), "Cancelled");
    EQUAL(at_yield.load(), 1);
  });
}

}  // namespace
