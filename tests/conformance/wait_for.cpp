// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <support/timers.h>

#include <heddle/sched/shield.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/queue.h>

namespace {

using namespace conformance;
using support::timers_armed;

CASES(WFOR);

/// Notes that it runs, sleeps, and when it is cancelled cleans up for `cleanup`.
h::task<int> sleeper(std::atomic<bool>& runs, std::atomic<bool>& cleaned,
                     std::chrono::milliseconds cleanup) {
  runs = true;
  try {
    co_await h::sleep(1h);
  } catch (const h::cancelled_error&) {
    // awaits below
  }
  co_await h::sleep(cleanup);
  cleaned = true;
  throw h::cancelled_error();
}

TEST_P(WFOR, WFOR_01_WhatEndsInTimeYieldsItsValueAndNoTimerRemains) {
  run([]() -> h::task<> {
    auto quick = []() -> h::task<int> {
      co_await h::yield_now();
      co_return 1;
    };
    auto limited = h::wait_for(quick(), 1h);
    EQUAL(co_await std::move(limited), 1);
    auto unlimited = h::wait_for(quick(), std::nullopt);
    EQUAL(co_await std::move(unlimited), 1);
    auto t = h::create_task(quick());
    auto of_handle = h::wait_for(t, 1h);
    EQUAL(co_await std::move(of_handle), 1);
    h::promise<int> p;
    p.set_value(1);
    auto of_future = h::wait_for(p.get_future(), 1h);
    EQUAL(co_await std::move(of_future), 1);
    h::queue<int> q;
    HOLDS(q.try_put(1));
    auto get = q.get();
    auto of_operation = h::wait_for(get, 1h);
    EQUAL(co_await std::move(of_operation), 1);
    auto of_gather = h::wait_for(h::gather(quick(), quick()), 1h);
    const auto [a, b] = co_await std::move(of_gather);
    EQUAL(a + b, 2);
    EQUAL(timers_armed(), 0u);
    EQUAL(h::current_task().cancelling(), 0u);
  });
}

TEST_P(WFOR, WFOR_02_ATaskStillRunningIsCancelledAndAwaited) {
  run([]() -> h::task<> {
    auto t = h::create_task(sleep_long());
    EQUAL(co_await ending(h::wait_for(t, 5ms)), "Timeout");
    HOLDS(t.cancelled());
    EQUAL(h::current_task().cancelling(), 0u);
    h::queue<int> q;
    auto get = q.get();
    EQUAL(co_await ending(h::wait_for(get, 5ms)), "Timeout");
    HOLDS(q.try_put(1));
    EQUAL(q.size(), 1u);
  });
}

TEST_P(WFOR, WFOR_03_AFutureThatIsDoneYieldsWhateverTheLimit) {
  run([]() -> h::task<> {
    h::promise<int> p;
    p.set_value(7);
    auto f = p.get_future();
    auto zero = h::wait_for(f, 0ms);
    EQUAL(co_await std::move(zero), 7);
    auto negative = h::wait_for(f, -1s);
    EQUAL(co_await std::move(negative), 7);
    EQUAL(h::current_task().cancelling(), 0u);
    co_await h::sleep(1ms);  // nothing is left behind
  });
}

TEST_P(WFOR, WFOR_04_AFreshCoroutineNeverStartsWithoutTime) {
  run([]() -> h::task<> {
    bool started = false;
    auto body = [&]() -> h::task<int> {
      started = true;
      co_return 1;
    };
    EQUAL(co_await ending(h::wait_for(body(), 0ms)), "Timeout");
    EQUAL(co_await ending(h::wait_for(body(), -5ms)), "Timeout");
    HOLDS(!started);
    EQUAL(h::current_task().cancelling(), 0u);
  });
}

TEST_P(WFOR, WFOR_05_WithoutTimeARunningTaskIsCancelledAndItsCleanupAwaited) {
  run([]() -> h::task<> {
    std::atomic<bool> runs{false};
    std::atomic<bool> cleaned{false};
    auto t = h::create_task(sleeper(runs, cleaned, 5ms));
    co_await until_waiting(t);
    EQUAL(co_await ending(h::wait_for(t, 0ms)), "Timeout");
    HOLDS(cleaned);
    HOLDS(t.done());
  });
}

TEST_P(WFOR, WFOR_07_WhatIsThrownWhileCancelledWins) {
  run([]() -> h::task<> {
    auto body = []() -> h::task<> {
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) { throw error_f(); }
    };
    auto t = h::create_task(body());
    co_await until_waiting(t);
    EQUAL(co_await ending(h::wait_for(t, 5ms)), "F");
    EQUAL(co_await ending(h::wait_for(body(), 5ms)), "F");
    EQUAL(h::current_task().cancelling(), 0u);
    co_await h::sleep(1ms);
  });
}

TEST_P(WFOR, WFOR_08_ItReturnsNoSoonerThanTheInnerHasEnded) {
  run([]() -> h::task<> {
    std::atomic<bool> runs{false};
    std::atomic<bool> cleaned{false};
    const auto begun = h::clock::now();
    auto t = h::create_task(sleeper(runs, cleaned, 20ms));
    co_await until_waiting(t);
    EQUAL(co_await ending(h::wait_for(t, 5ms)), "Timeout");
    HOLDS(h::clock::now() - begun >= 25ms);
    HOLDS(cleaned && t.done());
    cleaned = false;
    EQUAL(co_await ending(h::wait_for(sleeper(runs, cleaned, 5ms), 5ms)), "Timeout");
    HOLDS(cleaned);
  });
}

TEST_P(WFOR, WFOR_09_CancellingTheCallerCancelsTheInnerFirst) {
  run([]() -> h::task<> {
    std::atomic<bool> runs{false};
    std::atomic<bool> cleaned{false};
    std::atomic<bool> inner_first{false};
    auto inner = h::create_task(sleeper(runs, cleaned, 5ms));
    auto caller = h::create_task([&]() -> h::task<> {
      auto limited = h::wait_for(inner, 1h);
      try {
        co_await std::move(limited);
      } catch (const h::cancelled_error&) {
        inner_first = cleaned && inner.done();
        throw;
      }
    });
    co_await until_waiting(inner);
    co_await until_waiting(caller);
    caller.cancel("stop");
    EQUAL((co_await ending(caller)).substr(0, 9), "Cancelled");
    HOLDS(inner_first);
    HOLDS(inner.cancelled());
  });
}

TEST_P(WFOR, WFOR_14_AShieldedInnerRunsOn) {
  run([]() -> h::task<> {
    h::promise<> go;
    auto inner = h::create_task(
        [](h::future<> go) -> h::task<int> {
          co_await go;
          co_return 4;
        },
        go.get_future());
    EQUAL(co_await ending(h::wait_for(h::shield(inner), 5ms)), "Timeout");
    EQUAL(co_await ending(h::wait_for(h::shield(inner), 0ms)), "Timeout");
    HOLDS(!inner.done());
    EQUAL(inner.cancelling(), 0u);
    go.set_value();
    EQUAL(co_await inner, 4);
    auto done = h::wait_for(h::shield(inner), 0ms);
    EQUAL(co_await std::move(done), 4);
  });
}

TEST_P(WFOR, WFOR_15_AConditionHasItsLockAgainBeforeTheTimeout) {
  run([]() -> h::task<> {
    h::condition c;
    co_await c.lock();
    std::atomic<bool> released{false};
    std::atomic<bool> taken{false};
    // Takes the lock while the other waits, and keeps it beyond the deadline.
    auto other = h::create_task([&]() -> h::task<> {
      co_await c.lock();
      taken = true;
      co_await h::sleep(20ms);
      released = true;
      c.unlock();
    });
    EQUAL(co_await ending(h::wait_for(c.wait(), 5ms)), "Timeout");
    HOLDS(c.locked());
    HOLDS(!taken || released);
    c.unlock();
    co_await other;
    HOLDS(!c.locked());
  });
}

TEST_P(WFOR, WFOR_16_ATimeoutOfTheInnerPassesAsItIs) {
  run([]() -> h::task<> {
    auto body = []() -> h::task<> {
      throw h::timeout_error("its own");
      co_return;
    };
    std::string what;
    auto limited = h::wait_for(h::create_task(body()), 1h);
    try {
      co_await std::move(limited);
    } catch (const h::timeout_error& e) { what = e.what(); }
    EQUAL(what, "its own");
    EQUAL(timers_armed(), 0u);
  });
}

TEST_P(WFOR, WFOR_18_ACoroutineRunsInTheCallersTask) {
  run([]() -> h::task<> {
    const auto me = h::current_task();
    auto limited = h::wait_for(
        [](h::any_task me) -> h::task<bool> {
          const bool before = h::current_task() == me;
          co_await h::yield_now();
          co_return before&& h::current_task() == me;
        }(me),
        1h);
    HOLDS(co_await std::move(limited));
  });
}

TEST_P(WFOR, WFOR_19_ABareFutureIsCancelledAtTheDeadline) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    EQUAL(co_await ending(h::wait_for(f, 5ms)), "Timeout");
    HOLDS(f.cancelled());
    THROWS(h::invalid_state_error, p.set_value(1));
  });
}

TEST_P(WFOR, WFOR_20_TheOuterDeadlineFirst) {
  run([]() -> h::task<> {
    std::string inner_saw;
    auto nested = [&]() -> h::task<> {
      auto inner = h::wait_for(sleep_long(), 1h);
      try {
        co_await std::move(inner);
      } catch (...) {
        inner_saw = name_of(std::current_exception());
        throw;
      }
    };
    EQUAL(co_await ending(h::wait_for(nested(), 5ms)), "Timeout");
    EQUAL(inner_saw, "Cancelled");
    EQUAL(h::current_task().cancelling(), 0u);
    EQUAL(timers_armed(), 0u);
  });
}

TEST_P(WFOR, WFOR_02_TheEndAndTheDeadlineRace) {
  run([]() -> h::task<> {
    for (int round = 0; round < rounds(200); ++round) {
      h::promise<int> p;
      auto setter = h::create_task([&]() -> h::task<> {
        co_await h::sleep(std::chrono::microseconds(100 + round % 7));
        if (!p.done()) try {
            p.set_value(1);
          } catch (const h::invalid_state_error&) {
            // cancelled in between
          }
      });
      const auto how = co_await ending(h::wait_for(p.get_future(), 100us));
      HOLDS(how == "value" || how == "Timeout");
      EQUAL(h::current_task().cancelling(), 0u);
      co_await setter;
    }
    co_await h::yield_now();
  });
}

}  // namespace
