// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <support/timers.h>

#include <heddle/sched/task_group.h>

namespace {

using namespace conformance;
using support::timers_armed;

CASES(TMO);

unsigned own_count() { return h::current_task().cancelling(); }
void block_thread(std::chrono::microseconds d) {
  const auto end = h::clock::now() + d;
  while (h::clock::now() < end) {}
}

TEST_P(TMO, TMO_01_ABlockThatTakesTooLongIsInterrupted) {
  run([]() -> h::task<> {
    bool expired = false;
    bool not_reached = true;
    auto block = h::timeout(10ms, [&](h::timeout_scope& scope) -> h::task<> {
      try {
        co_await h::sleep(1h);
        not_reached = false;
      } catch (const h::cancelled_error&) {
        expired = scope.expired();
        throw;
      }
    });
    EQUAL(co_await ending(std::move(block)), "Timeout");
    HOLDS(expired);
    HOLDS(not_reached);
    EQUAL(own_count(), 0u);
    co_await h::sleep(1ms);
    co_await h::yield_now();
    HOLDS(!h::current_task().cancelled());
  });
}

TEST_P(TMO, TMO_02_ABlockThatEndsInTime) {
  run([]() -> h::task<> {
    bool expired = true;
    auto block = h::timeout(1h, [&](h::timeout_scope& scope) -> h::task<int> {
      co_await h::yield_now();
      expired = scope.expired();
      co_return 3;
    });
    EQUAL(co_await std::move(block), 3);
    HOLDS(!expired);
    EQUAL(timers_armed(), 0u);
    EQUAL(own_count(), 0u);
  });
}

TEST_P(TMO, TMO_03_WhenTellsTheDeadlineAndNoneNeverExpires) {
  run([]() -> h::task<> {
    const auto deadline = h::clock::now() + 1h;
    bool right = false;
    auto absolute =
        h::timeout_at(deadline, [&](h::timeout_scope& scope) { right = scope.when() == deadline; });
    co_await std::move(absolute);
    HOLDS(right);
    auto never = h::timeout(std::nullopt, [&](h::timeout_scope& scope) -> h::task<> {
      right = !scope.when();
      EQUAL(timers_armed(), 0u);
      co_await h::sleep(1ms);
      HOLDS(!scope.expired());
    });
    co_await std::move(never);
    HOLDS(right);
    const auto soon = h::clock::now() + 5ms;
    EQUAL(co_await ending(h::timeout_at(soon, [] { return sleep_long(); })), "Timeout");
    HOLDS(h::clock::now() >= soon);
  });
}

TEST_P(TMO, TMO_04_APastDeadlineInterruptsTheFirstSuspension) {
  run([]() -> h::task<> {
    for (const auto limit : {0ms, -10ms}) {
      int reached = 0;
      auto block = h::timeout(limit, [&]() -> h::task<> {
        ++reached;
        co_await h::yield_now();
        ++reached;
      });
      EQUAL(co_await ending(std::move(block)), "Timeout");
      EQUAL(reached, 1);
      EQUAL(own_count(), 0u);
    }
  });
}

TEST_P(TMO, TMO_06_ABlockThatNeverSuspendsLeavesNormally) {
  const bool one = one_loop();
  run([one]() -> h::task<> {
    auto task = h::timeout(1ms, [](h::timeout_scope& scope) {
      block_thread(3ms);
      return &scope;
    });
    auto* scope = co_await task;
    if (one) HOLDS(!scope->expired());
    EQUAL(own_count(), 0u);
    co_await h::yield_now();  // and nothing comes later
    co_await h::sleep(2ms);
    EQUAL(timers_armed(), 0u);
  });
}

TEST_P(TMO, TMO_08_AnErrorBeforeTheDeadline) {
  run([]() -> h::task<> {
    bool expired = true;
    auto block = h::timeout(1h, [&](h::timeout_scope& scope) -> h::task<> {
      co_await h::yield_now();
      expired = scope.expired();
      throw error_e();
    });
    EQUAL(co_await ending(std::move(block)), "E");
    HOLDS(!expired);
    EQUAL(timers_armed(), 0u);
  });
}

TEST_P(TMO, TMO_09_AnErrorOfTheCleanupWins) {
  run([]() -> h::task<> {
    auto block = h::timeout(2ms, []() -> h::task<> {
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) { throw error_e(); }
    });
    EQUAL(co_await ending(std::move(block)), "E");
    EQUAL(own_count(), 0u);
    co_await h::sleep(1ms);
    co_await h::yield_now();
  });
}

TEST_P(TMO, TMO_10_ACancellationFromOutside) {
  run([]() -> h::task<> {
    std::atomic<bool> expired{true};
    auto t = h::create_task([&]() -> h::task<> {
      auto block = h::timeout(1h, [&](h::timeout_scope& scope) -> h::task<> {
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {
          expired = scope.expired();
          throw;
        }
      });
      co_await std::move(block);
    });
    co_await until_waiting(t);
    t.cancel("stop");
    EQUAL(co_await ending(t), "Cancelled: stop");
    HOLDS(!expired);
    EQUAL(t.cancelling(), 1u);
    EQUAL(timers_armed(), 0u);
  });
}

TEST_P(TMO, TMO_10_ACancellationThatIsPendingAtTheEntryIsNotTheScopes) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<> {
      h::current_task().cancel();
      auto block = h::timeout(0ms, [] { return sleep_long(); });
      co_await std::move(block);
    });
    EQUAL(co_await ending(t), "Cancelled");
    EQUAL(t.cancelling(), 1u);
  });
}

TEST_P(TMO, TMO_13_TheInnerFirstAndCaughtInTheOuter) {
  run([]() -> h::task<> {
    std::string inner_ended;
    bool went_on = false;
    auto outer = h::timeout(1h, [&](h::timeout_scope& scope) -> h::task<> {
      auto inner = h::timeout(2ms, [] { return sleep_long(); });
      inner_ended = co_await ending(std::move(inner));
      EQUAL(own_count(), 0u);
      co_await h::sleep(1ms);
      went_on = true;
      scope.reschedule(h::clock::now() + 2ms);
      co_await h::sleep(1h);
    });
    EQUAL(co_await ending(std::move(outer)), "Timeout");
    EQUAL(inner_ended, "Timeout");
    HOLDS(went_on);
    EQUAL(own_count(), 0u);
  });
}

TEST_P(TMO, TMO_14_TheOuterFirst) {
  run([]() -> h::task<> {
    bool inner_expired = true;
    std::string inner_ended;
    auto outer = h::timeout(2ms, [&]() -> h::task<> {
      auto inner = h::timeout(1h, [&](h::timeout_scope& scope) -> h::task<> {
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {
          inner_expired = scope.expired();
          throw;
        }
      });
      try {
        co_await std::move(inner);
      } catch (...) {
        inner_ended = name_of(std::current_exception());
        throw;
      }
    });
    EQUAL(co_await ending(std::move(outer)), "Timeout");
    EQUAL(inner_ended, "Cancelled");
    HOLDS(!inner_expired);
    EQUAL(own_count(), 0u);
  });
}

TEST_P(TMO, TMO_15_AThreadThatBlockedPastBothDeadlines) {
  run([]() -> h::task<> {
    std::string at_first;
    std::string inner_ended;
    std::string next;
    const auto begun =
        h::clock::now();  // both count from here, however long the second takes to be entered
    auto outer = h::timeout_at(begun + 20ms, [&]() -> h::task<> {
      auto inner = h::timeout_at(begun + 19ms, [&]() -> h::task<> {
        block_thread(25ms);
        try {
          co_await h::sleep(1h);
        } catch (...) {
          at_first = name_of(std::current_exception());
          throw;
        }
      });
      inner_ended = co_await ending(std::move(inner));
      try {
        co_await h::sleep(1h);
      } catch (...) {
        next = name_of(std::current_exception());
        throw;
      }
    });
    EQUAL(co_await ending(std::move(outer)), "Timeout");
    EQUAL(at_first, "Cancelled");
    EQUAL(inner_ended, "Timeout");
    EQUAL(next, "Cancelled");
    EQUAL(own_count(), 0u);
    co_await h::sleep(1ms);
  });
}

TEST_P(TMO, TMO_15_WithTheOuterDeadlineFirstOnlyTheOuterIsATimeout) {
  const bool one = one_loop();
  run([one]() -> h::task<> {
    for (bool in_time = false; !in_time;) {  // again, if this thread was held until the deadline
      std::string inner_ended;
      const auto deadline = h::clock::now() + 5ms;
      auto outer = h::timeout_at(deadline, [&]() -> h::task<> {
        auto inner = h::timeout_at(deadline, [&]() -> h::task<> {
          in_time = h::clock::now() < deadline;
          block_thread(6ms);
          co_await h::sleep(1h);
        });
        try {
          co_await std::move(inner);
        } catch (...) {
          inner_ended = name_of(std::current_exception());
          throw;
        }
      });
      EQUAL(co_await ending(std::move(outer)), "Timeout");
      if (one && in_time) EQUAL(inner_ended, "Cancelled");
      EQUAL(own_count(), 0u);
      co_await h::sleep(1ms);
    }
  });
}

TEST_P(TMO, TMO_16_AnotherScopeExpiresInTheCleanup) {
  run([]() -> h::task<> {
    std::string in_cleanup;
    auto outer = h::timeout(2ms, [&]() -> h::task<> {
      std::exception_ptr error;
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) { error = std::current_exception(); }
      auto inner = h::timeout(2ms, [] { return sleep_long(); });
      in_cleanup = co_await ending(std::move(inner));
      EQUAL(own_count(), 1u);
      std::rethrow_exception(error);
    });
    EQUAL(co_await ending(std::move(outer)), "Timeout");
    EQUAL(in_cleanup, "Timeout");
    EQUAL(own_count(), 0u);
  });
}

TEST_P(TMO, TMO_19_ADeadlineMayBeMoved) {
  run([]() -> h::task<> {
    for (bool in_time = false; !in_time;) {  // again, if this thread was held until the deadline
      auto later = h::timeout(5ms, [&](h::timeout_scope& scope) -> h::task<> {
        const auto when = h::clock::now() + 1h;
        scope.reschedule(when);
        in_time = true;
        HOLDS(scope.when() == when);
        co_await h::sleep(8ms);
        HOLDS(!scope.expired());
      });
      EQUAL(co_await ending(std::move(later)), in_time ? "value" : "Usage");
    }
    auto earlier = h::timeout(1h, [](h::timeout_scope& scope) -> h::task<> {
      scope.reschedule(h::clock::now() + 2ms);
      co_await h::sleep(1h);
    });
    EQUAL(co_await ending(std::move(earlier)), "Timeout");
    for (bool in_time = false; !in_time;) {
      auto none = h::timeout(5ms, [&](h::timeout_scope& scope) -> h::task<> {
        scope.reschedule(std::nullopt);
        in_time = true;
        HOLDS(!scope.when());
        co_await h::sleep(8ms);
      });
      EQUAL(co_await ending(std::move(none)), in_time ? "value" : "Usage");
    }
    int reached = 0;
    auto past = h::timeout(1h, [&](h::timeout_scope& scope) -> h::task<> {
      scope.reschedule(h::clock::now() - 1s);
      ++reached;
      co_await h::yield_now();
      ++reached;
    });
    EQUAL(co_await ending(std::move(past)), "Timeout");
    EQUAL(reached, 1);
    EQUAL(own_count(), 0u);
    EQUAL(timers_armed(), 0u);
  });
}

TEST_P(TMO, TMO_21_MovingItAtTheWrongTimeAndEnteringTwice) {
  run([]() -> h::task<> {
    // During expiry.
    bool refused = false;
    auto expires = h::timeout(1ms, [&](h::timeout_scope& scope) -> h::task<> {
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) {
        try {
          scope.reschedule(h::clock::now() + 1h);
        } catch (const h::usage_error&) { refused = true; }
        throw;
      }
    });
    EQUAL(co_await ending(std::move(expires)), "Timeout");
    HOLDS(refused);
    // A scope is made by entering its block, so that there is none before; the block's task is
    // entered once.
    int entered = 0;
    h::timeout_scope* left = nullptr;
    auto once = h::timeout(1h, [&](h::timeout_scope& scope) -> h::task<> {
      left = &scope;
      ++entered;
      co_return;
    });
    co_await once;
    THROWS(h::usage_error, left->reschedule(std::nullopt));
    HOLDS(!left->expired());
    std::string again;
    try {
      co_await once;
    } catch (const h::usage_error&) { again = "Usage"; }
    EQUAL(again, "Usage");
    EQUAL(entered, 1);
  });
}

TEST_P(TMO, TMO_22_AScopeAroundATaskGroup) {
  run([]() -> h::task<> {
    for (int leaving = 0; leaving < 2; ++leaving) {
      h::task_handle<> a;
      h::task_handle<> b;
      bool expired = false;
      auto block = h::timeout(10ms, [&](h::timeout_scope& scope) -> h::task<> {
        auto group = h::with_task_group([&](h::task_group& g) -> h::task<> {
          a = g.create_task(sleep_long());
          b = g.create_task(sleep_long());
          if (!leaving) co_await h::sleep(1h);
        });
        try {
          co_await std::move(group);
        } catch (...) {
          expired = scope.expired();
          throw;
        }
      });
      EQUAL(co_await ending(std::move(block)), "Timeout");
      HOLDS(a.cancelled() && b.cancelled());
      HOLDS(expired);
      EQUAL(own_count(), 0u);
    }
    co_await h::sleep(1ms);
  });
}

TEST_P(TMO, TMO_23_AChildThatFailsInItsCleanup) {
  run([]() -> h::task<> {
    for (int leaving = 0; leaving < 2; ++leaving) {
      bool expired = false;
      auto block = h::timeout(1h, [&](h::timeout_scope& scope) -> h::task<> {
        auto group = h::with_task_group([&](h::task_group& g) -> h::task<> {
          auto child = g.create_task([]() -> h::task<> {
            try {
              co_await h::sleep(1h);
            } catch (const h::cancelled_error&) { throw error_e(); }
          });
          co_await until_waiting(child);
          scope.reschedule(h::clock::now() + 2ms);
          if (!leaving) co_await h::sleep(1h);
        });
        try {
          co_await std::move(group);
        } catch (...) {
          expired = scope.expired();
          throw;
        }
      });
      EQUAL(co_await ending(std::move(block)), "Group{E}");
      HOLDS(expired);
      EQUAL(own_count(), 0u);
      co_await h::yield_now();
      co_await h::sleep(1ms);
    }
  });
}

}  // namespace
