// SPDX-License-Identifier: MIT
// The cases of CANC about what a task does with its cancellation, and where it takes it.
#include "conformance.h"

#include <thread>

namespace {

using namespace conformance;

// One group has one suite; a second one for the same group has its own name and the same ids.
CASES(CANC_CLEANUP);

TEST_P(CANC_CLEANUP, CANC_23_CleanupThatAwaitsRunsOnceAndToItsEnd) {
  run([]() -> h::task<> {
    std::atomic<int> begun{0}, ended{0};
    auto t = h::create_task(
        [](std::atomic<int>& begun, std::atomic<int>& ended) -> h::task<> {
          std::exception_ptr error;
          try {
            co_await h::sleep(1h);
          } catch (...) { error = std::current_exception(); }
          ++begun;
          co_await h::yield_now();
          co_await h::sleep(500us);
          ++ended;
          if (error) std::rethrow_exception(error);
        },
        std::ref(begun), std::ref(ended));
    co_await until_waiting(t);
    t.cancel();
    EQUAL(co_await ending(t), "Cancelled");
    EQUAL(begun.load(), 1);
    EQUAL(ended.load(), 1);
  });
}

TEST_P(CANC_CLEANUP, CANC_24_AHandlerMayTurnItIntoAnError) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<> {
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) { throw error_e(); }
    });
    co_await until_waiting(t);
    t.cancel();
    EQUAL(co_await ending(t), "E");
    HOLDS(!t.cancelled());
    EQUAL(name_of(t.exception()), "E");
  });
}

TEST_P(CANC_CLEANUP, CANC_25_AHandlerOfOrdinaryErrorsDoesNotSeeIt) {
  run([]() -> h::task<> {
    std::atomic<bool> caught{false};
    auto t = h::create_task(
        [](std::atomic<bool>& caught) -> h::task<> {
          try {
            co_await h::sleep(1h);
          } catch (const std::exception&) { caught = true; }
        },
        std::ref(caught));
    co_await until_waiting(t);
    t.cancel();
    EQUAL(co_await ending(t), "Cancelled");
    HOLDS(!caught);
  });
}

TEST_P(CANC_CLEANUP, CANC_26_AFatalErrorInTheHandlerLeavesTheRun) {
  h::task_handle<> t;
  std::string left;
  try {
    run(
        [](h::task_handle<>& t) -> h::task<> {
          t = h::create_task([]() -> h::task<> {
            try {
              co_await h::sleep(1h);
            } catch (const h::cancelled_error&) { throw h::fatal_error("stop"); }
          });
          co_await until_waiting(t);
          t.cancel();
          co_await h::sleep(1h);
        },
        t);
  } catch (...) { left = name_of(std::current_exception()); }
  EQUAL(left, "Fatal");
  HOLDS(t.done());
  HOLDS(!t.cancelled());
  EQUAL(name_of(t.exception()), "Fatal");
}

TEST_P(CANC_CLEANUP, CANC_28_InNestedCallsItIsThrownAtTheInnermostAwaitAndUnwindsOutward) {
  run([]() -> h::task<> {
    struct nest {
      static h::task<> down(int n, h::future<> f, journal& log) {
        try {
          if (n == 0)
            co_await f;
          else
            co_await down(n - 1, f, log);
        } catch (const h::cancelled_error&) {
          log.add(std::to_string(n));
          throw;
        }
      }
    };
    h::promise<> p;
    auto f = p.get_future();
    journal log;
    auto t = h::create_task(nest::down(4, f, log));
    co_await until_waiting(t);
    t.cancel("m");
    EQUAL(co_await ending(t), "Cancelled: m");
    EQUAL(log.joined(), "0 1 2 3 4");
    HOLDS(f.cancelled());
  });
}

TEST_P(CANC_CLEANUP, CANC_29_OneThatComputesTakesItAtItsNextSuspension) {
  h::runtime rt(with());
  for (int i = 0; i < rounds(50); ++i) {
    std::atomic<bool> computes{false}, asked{false};
    std::atomic<bool> reached_end{false}, went_on{false};
    h::task_handle<> t;
    rt.run([](h::task_handle<>& t, std::atomic<bool>& computes, std::atomic<bool>& asked,
              std::atomic<bool>& reached_end, std::atomic<bool>& went_on) -> h::task<> {
      t = h::create_task(
          [](std::atomic<bool>& computes, std::atomic<bool>& asked, std::atomic<bool>& reached_end,
             std::atomic<bool>& went_on) -> h::task<> {
            computes = true;
            while (!asked) std::this_thread::yield();
            reached_end = true;
            co_await h::yield_now();
            went_on = true;
          },
          std::ref(computes), std::ref(asked), std::ref(reached_end), std::ref(went_on));
      co_return;
    }(t, computes, asked, reached_end, went_on));
    while (!computes) std::this_thread::yield();
    HOLDS(t.cancel());
    HOLDS(!t.done());
    asked = true;
    rt.run([](h::task_handle<> t) -> h::task<> { EQUAL(co_await ending(t), "Cancelled"); }(t));
    HOLDS(reached_end && !went_on);
  }
}

TEST_P(CANC_CLEANUP, CANC_32_ABlockThatCancelsAndUncancelsInterruptsOnlyItself) {
  run([]() -> h::task<> {
    struct block {
      /// A time limit, made by hand.
      static h::task<bool> sleep_with_limit() {
        const auto self = h::current_task();
        auto timer = h::current_loop().call_later(1ms, [self] { self.cancel(); });
        bool expired = false;
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) { expired = self.uncancel() == 0; }
        timer.cancel();
        co_return expired;
      }
    };
    auto t = h::create_task([]() -> h::task<int> {
      const auto self = h::current_task();
      for (int i = 0; i < 3; ++i) {
        HOLDS(co_await block::sleep_with_limit());
        EQUAL(self.cancelling(), 0u);
        co_await h::yield_now();
        co_await h::sleep(100us);
      }
      bool timed_out = false;
      try {
        co_await h::timeout(1ms, [] { return sleep_long(); });
      } catch (const h::timeout_error&) { timed_out = true; }
      HOLDS(timed_out);
      EQUAL(self.cancelling(), 0u);
      co_await h::sleep(100us);
      co_return 1;
    });
    EQUAL(co_await t, 1);
    HOLDS(!t.cancelled());
  });
}

}  // namespace
