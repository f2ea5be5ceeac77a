// SPDX-License-Identifier: MIT
// TG-1 to TG-25.
#include "task_group.h"

#include <algorithm>

namespace {

using namespace conformance;

HEDDLE_AT_LOOPS(TG);

/// Outside of std::exception, and not fatal.
struct odd_error {};

TEST_P(TG, TG_01_TheBlockWaitsForItsChildrenWhoHaveTheirNames) {
  run([]() -> h::task<> {
    h::task_handle<int> a;
    h::task_handle<std::string> b;
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      h::task_options named;
      named.name = "the first";
      a = g.create_task(named, []() -> h::task<int> {
        co_await h::sleep(5ms);
        co_return 42;
      });
      b = g.create_task(
          [](int n) -> h::task<std::string> {
            co_await h::yield_now();
            co_return std::to_string(n);
          },
          7);
      co_return;
    });
    co_await std::move(block);
    HOLDS(a.done() && b.done());
    EQUAL(a.result(), 42);
    EQUAL(b.result(), "7");
    EQUAL(a.get_name(), "the first");
  });
}

TEST_P(TG, TG_01_TheBlockYieldsWhatItsBodyYields) {
  run([]() -> h::task<> {
    auto awaited = h::with_task_group([](h::task_group& g) -> h::task<int> {
      auto t = g.create_task([]() -> h::task<int> { co_return 40; });
      co_return co_await t + 2;
    });
    const int first = co_await std::move(awaited);
    EQUAL(first, 42);
    auto plain = h::with_task_group([](h::task_group& g) {
      g.create_task(settle());
      return std::make_unique<int>(7);
    });
    auto second = co_await std::move(plain);
    EQUAL(*second, 7);
    auto cut_short = h::with_task_group([](h::task_group& g) -> h::task<int> {
      g.cancel();
      co_await h::sleep(1h);
      co_return 1;
    });
    EQUAL((co_await ending(std::move(cut_short))).substr(0, 9), "Cancelled");
  });
}

TEST_P(TG, TG_02_ChildrenOfTheBodyAndOfChildrenAreAwaited) {
  run([]() -> h::task<> {
    std::atomic<int> ended{0};
    std::atomic<bool> body_over{false};
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      for (int i = 0; i < 3; ++i)
        g.create_task([&]() -> h::task<> {
          co_await h::yield_now();
          ++ended;
        });
      g.create_task([&]() -> h::task<> {
        auto wait = until([&] { return body_over.load(); });
        co_await std::move(wait);
        co_await settle();
        g.create_task([&]() -> h::task<> {
          co_await h::sleep(2ms);
          g.create_task([&]() -> h::task<> {
            co_await h::sleep(2ms);
            ++ended;
          });
          ++ended;
        });
        ++ended;
      });
      co_await h::yield_now();
      body_over = true;
    });
    co_await std::move(block);
    EQUAL(ended.load(), 6);
  });
}

TEST_P(TG, TG_03_AChildThatIsCancelledAloneIsNoFailure) {
  run([]() -> h::task<> {
    h::task_handle<> by_others;
    h::task_handle<> by_itself;
    h::task_handle<int> sibling;
    bool body_went_on = false;
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      by_others = g.create_task(sleep_long());
      by_itself = g.create_task([]() -> h::task<> {
        throw h::cancelled_error();
        co_return;
      });
      sibling = g.create_task([]() -> h::task<int> {
        co_await h::sleep(5ms);
        co_return 1;
      });
      co_await until_waiting(by_others);
      by_others.cancel();
      co_await until_done(by_others);
      co_await until_done(by_itself);
      co_await h::sleep(1ms);
      body_went_on = true;
    });
    EQUAL(co_await ending(std::move(block)), "value");
    HOLDS(by_others.cancelled() && by_itself.cancelled());
    EQUAL(sibling.result(), 1);
    HOLDS(body_went_on);
    EQUAL(own_count(), 0u);
  });
}

TEST_P(TG, TG_04_AFailingChildCancelsItsSiblingsAndTheBody) {
  run([]() -> h::task<> {
    journal log;
    std::atomic<bool> sibling_runs{false};
    h::task_handle<> sibling;
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      sibling = g.create_task([&]() -> h::task<> {
        sibling_runs = true;
        auto sleeping = sleep_and_tell(log, "sibling");
        co_await std::move(sleeping);
      });
      g.create_task(fail_when([&] { return sibling_runs && waits(sibling); }));
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) {
        log.add("body");
        throw;
      }
    });
    EQUAL(co_await ending(std::move(block)), "Group{E}");
    const auto lines = log.lines();
    EQUAL(lines.size(), 2u);
    HOLDS(std::count(lines.begin(), lines.end(), "body") == 1);
    HOLDS(sibling.cancelled());
    EQUAL(own_count(), 0u);
    co_await h::sleep(1ms);  // goes on unharmed
    co_await h::yield_now();
  });
  EQUAL(report_count(), 0u);
}

TEST_P(TG, TG_06_WhatTheCleanupOfASiblingThrowsIsInTheGroup) {
  run([]() -> h::task<> {
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      auto sibling = g.create_task([]() -> h::task<> {
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {}
        throw error_f();
      });
      g.create_task(fail_when([sibling] { return waits(sibling); }));
      co_return;
    });
    EQUAL(co_await ending(std::move(block)), "Group{E,F}");
    EQUAL(own_count(), 0u);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(TG, TG_07_ASiblingMaySwallowItsCancellation) {
  run([]() -> h::task<> {
    h::task_handle<int> sibling;
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      sibling = g.create_task([]() -> h::task<int> {
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {}
        co_await h::yield_now();
        co_return 7;
      });
      g.create_task(fail_when([&] { return waits(sibling); }));
      co_return;
    });
    EQUAL(co_await ending(std::move(block)), "Group{E}");
    EQUAL(sibling.result(), 7);
  });
}

TEST_P(TG, TG_08_ABodyThatFailsAtOnceCancelsWhatItHasStarted) {
  const bool one = one_loop();
  run([one]() -> h::task<> {
    std::atomic<bool> started{false};
    std::atomic<bool> slept{false};
    h::task_handle<> t;
    auto block = h::with_task_group([&](h::task_group& g) {
      t = g.create_task([&]() -> h::task<> {
        started = true;
        co_await h::sleep(1h);
        slept = true;
      });
      throw error_e();
    });
    EQUAL(co_await ending(std::move(block)), "Group{E}");
    HOLDS(t.cancelled());
    HOLDS(!slept);
    if (one) HOLDS(!started);
    EQUAL(own_count(), 0u);
  });
}

TEST_P(TG, TG_09_ABodyWithoutChildrenFailsOrIsCancelled) {
  run([]() -> h::task<> {
    auto fails = h::with_task_group([](h::task_group&) -> h::task<> {
      throw error_e();
      co_return;
    });
    EQUAL(co_await ending(std::move(fails)), "Group{E}");
    auto cancelled = h::with_task_group([](h::task_group&) -> h::task<> {
      throw h::cancelled_error("mine");
      co_return;
    });
    EQUAL(co_await ending(std::move(cancelled)), "Cancelled: mine");
    EQUAL(own_count(), 0u);
  });
}

TEST_P(TG, TG_10_ACancellationFromOutsideWhileTheBodyAwaits) {
  run([]() -> h::task<> {
    journal log;
    h::task_handle<> child;
    std::atomic<bool> set{false};
    auto t = h::create_task([&]() -> h::task<> {
      auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
        child = g.create_task(sleep_and_tell(log, "child"));
        set = true;
        co_await h::sleep(1h);
      });
      co_await std::move(block);
    });
    co_await until([&] { return set && waits(child) && waits(t); });
    t.cancel("stop");
    EQUAL(co_await ending(t), "Cancelled: stop");
    HOLDS(child.cancelled());
    EQUAL(log.joined(), "child");
    EQUAL(t.cancelling(), 1u);
  });
}

TEST_P(TG, TG_11_ACancellationFromOutsideWhileTheBlockIsLeft) {
  run([]() -> h::task<> {
    journal log;
    h::task_handle<> child;
    std::atomic<bool> set{false};
    auto t = h::create_task([&]() -> h::task<> {
      auto block = h::with_task_group([&](h::task_group& g) {
        child = g.create_task([&]() -> h::task<> {
          try {
            co_await h::sleep(1h);
          } catch (const h::cancelled_error&) {}
          co_await h::sleep(2ms);
          log.add("cleaned up");
        });
        set = true;
      });
      co_await std::move(block);
      log.add("not reached");
    });
    co_await until([&] { return set && waits(child) && waits(t); });
    t.cancel("stop");
    EQUAL(co_await ending(t), "Cancelled: stop");
    EQUAL(log.joined(), "cleaned up");
    HOLDS(child.done());
  });
}

TEST_P(TG, TG_12_ABodyThatTurnsACancellationFromOutsideIntoAnError) {
  run([]() -> h::task<> {
    std::string later;
    std::string first;
    auto t = h::create_task([&]() -> h::task<> {
      auto block = h::with_task_group([](h::task_group& g) -> h::task<> {
        g.create_task(sleep_long());
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {}
        throw error_e();
      });
      first = co_await ending(std::move(block));
      EQUAL(own_count(), 1u);
      later = co_await ending(sleep_long());  // what the error hid is delivered at the next wait
    });
    co_await until_waiting(t);
    t.cancel();
    (void)co_await ending(t);
    EQUAL(first, "Group{E}");
    EQUAL(later, "Cancelled");
  });
}

TEST_P(TG, TG_19_TheGroupWaitsForASlowBodyThenForItsChildren) {
  run([]() -> h::task<> {
    journal log;
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      auto sibling = g.create_task([&]() -> h::task<> {
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {}
        co_await until([&] { return !log.lines().empty(); });
        co_await h::sleep(2ms);
        log.add("child");
      });
      g.create_task(fail_when([=] { return waits(sibling); }));
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) {}
      co_await h::sleep(5ms);
      log.add("body");
    });
    EQUAL(co_await ending(std::move(block)), "Group{E}");
    EQUAL(log.joined(), "body child");
    EQUAL(own_count(), 0u);
  });
}

TEST_P(TG, TG_20_AFailureInAnInnerGroupReachesTheOuter) {
  run([]() -> h::task<> {
    h::task_handle<> other;
    auto outer = h::with_task_group([&](h::task_group& g) -> h::task<> {
      other = g.create_task(sleep_long());
      auto inner = h::with_task_group([&](h::task_group& i) -> h::task<> {
        i.create_task(fail_when([&] { return waits(other); }));
        co_await h::sleep(1h);
      });
      co_await std::move(inner);
    });
    EQUAL(co_await ending(std::move(outer)), "Group{Group{E}}");
    HOLDS(other.cancelled());
    EQUAL(own_count(), 0u);
  });
}

TEST_P(TG, TG_21_AFailureInTheOuterGroupWhileTheBodyIsInTheInner) {
  run([]() -> h::task<> {
    h::task_handle<> child_of_inner;
    std::string of_inner;
    std::atomic<bool> set{false};
    auto outer = h::with_task_group([&](h::task_group& g) -> h::task<> {
      g.create_task(fail_when([&] { return set && waits(child_of_inner); }));
      auto inner = h::with_task_group([&](h::task_group& i) -> h::task<> {
        child_of_inner = i.create_task(sleep_long());
        set = true;
        co_await h::sleep(1h);
      });
      co_await std::move(inner);
    });
    EQUAL(co_await ending(std::move(outer)), "Group{E}");
    HOLDS(child_of_inner.cancelled());
    EQUAL(own_count(), 0u);
    co_await h::sleep(1ms);
  });
}

TEST_P(TG, TG_21_TheSameWhileTheInnerIsBeingLeft) {
  run([]() -> h::task<> {
    h::task_handle<> child_of_inner;
    std::atomic<bool> set{false};
    auto outer = h::with_task_group([&](h::task_group& g) -> h::task<> {
      g.create_task(fail_when([&] { return set && waits(child_of_inner); }));
      auto inner = h::with_task_group([&](h::task_group& i) {
        child_of_inner = i.create_task(sleep_long());
        set = true;
      });
      co_await std::move(inner);
    });
    EQUAL(co_await ending(std::move(outer)), "Group{E}");
    HOLDS(child_of_inner.cancelled());
    EQUAL(own_count(), 0u);
  });
}

TEST_P(TG, TG_23_AChildFailsAndTheBodyInItsCleanup) {
  run([]() -> h::task<> {
    auto block = h::with_task_group([](h::task_group& g) -> h::task<> {
      g.create_task(fail_with_e());
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) { throw error_f(); }
    });
    EQUAL(co_await ending(std::move(block)), "Group{E,F}");
    EQUAL(own_count(), 0u);
    co_await h::sleep(1ms);
  });
}

TEST_P(TG, TG_25_ErrorsOutsideTheOrdinaryHierarchyAreCollectedToo) {
  run([]() -> h::task<> {
    auto block = h::with_task_group([](h::task_group& g) -> h::task<> {
      g.create_task([]() -> h::task<> {
        throw odd_error();
        co_return;
      });
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) { throw odd_error(); }
    });
    std::size_t odd = 0;
    std::size_t all = 0;
    try {
      co_await std::move(block);
    } catch (const h::exception_group& group) {
      all = group.exceptions().size();
      for (const auto& error : group.exceptions()) {
        try {
          std::rethrow_exception(error);
        } catch (const odd_error&) { ++odd; } catch (...) {
        }
      }
    }
    EQUAL(all, 2u);
    EQUAL(odd, 2u);
    EQUAL(own_count(), 0u);
  });
}

}  // namespace
