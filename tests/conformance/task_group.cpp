// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/sched/shield.h>
#include <heddle/sched/task_group.h>

#include <algorithm>

namespace {

using namespace conformance;

CASES(TG);

/// Outside of std::exception, and not fatal.
struct odd_error {};

/// Sleeps until it is cancelled; then adds `line` and passes the cancellation on.
h::task<> sleep_and_tell(journal& log, std::string line) {
  try {
    co_await h::sleep(1h);
  } catch (const h::cancelled_error&) {
    log.add(line);
    throw;
  }
}
h::task<> fail_with_e() {
  throw error_e();
  co_return;
}
/// Fails once `go` holds.
h::task<> fail_when(std::function<bool()> go) {
  auto wait = until(std::move(go));
  co_await std::move(wait);
  throw error_e();
}
unsigned own_count() { return h::current_task().cancelling(); }

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

TEST_P(TG, TG_26_NothingIsStartedInAGroupThatIsBeingCancelled) {
  run([]() -> h::task<> {
    struct guard {
      std::atomic<int>* destroyed;
      explicit guard(std::atomic<int>& d) : destroyed(&d) {}
      guard(guard&& other) noexcept : destroyed(std::exchange(other.destroyed, nullptr)) {}
      ~guard() {
        if (destroyed) ++*destroyed;
      }
    };
    std::atomic<int> destroyed{0};
    std::atomic<int> started{0};
    std::atomic<int> refused{0};
    auto late = [&](guard) -> h::task<> {
      ++started;
      co_return;
    };
    auto try_it = [&](h::task_group& g) {
      try {
        g.create_task(late, guard(destroyed));
      } catch (const h::usage_error&) { ++refused; }
    };
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      auto sibling = g.create_task([&]() -> h::task<> {
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {
          try_it(g);
          throw;
        }
      });
      g.create_task(fail_when([=] { return waits(sibling); }));
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) {
        try_it(g);
        throw;
      }
    });
    EQUAL(co_await ending(std::move(block)), "Group{E}");
    EQUAL(refused.load(), 2);
    EQUAL(destroyed.load(), 2);
    EQUAL(started.load(), 0);
  });
}

TEST_P(TG, TG_27_AGroupIsUsedWhileItIsOpenAndEnteredOnce) {
  run([]() -> h::task<> {
    std::atomic<bool> started{false};
    auto kept = std::make_shared<int>(0);
    auto never = [&](std::shared_ptr<int>) -> h::task<> {
      started = true;
      co_return;
    };
    h::task_group g;
    THROWS(h::usage_error, g.create_task(never, kept));
    auto block = h::with_task_group(g, [](h::task_group& g) { g.create_task(settle()); });
    co_await std::move(block);
    THROWS(h::usage_error, g.create_task(never, kept));
    THROWS(h::usage_error, g.create_task(never(kept)));
    EQUAL(kept.use_count(), 1);
    bool ran = false;
    auto again = h::with_task_group(g, [&](h::task_group&) { ran = true; });
    EQUAL(co_await ending(std::move(again)), "Usage");
    HOLDS(!ran);
    HOLDS(!started);

    // The group of a block, as long as the block's task lives.
    h::task_group* inside = nullptr;
    auto other = h::with_task_group([&](h::task_group& g) { inside = &g; });
    co_await other;
    THROWS(h::usage_error, inside->create_task(never, kept));
    EQUAL(kept.use_count(), 1);
    co_await settle();
    HOLDS(!started);
  });
}

TEST_P(TG, TG_28_FinishedChildrenAreReleasedWhileTheGroupIsOpen) {
  run([]() -> h::task<> {
    const int n = rounds(3000);
    auto kept = std::make_shared<int>(0);
    std::atomic<int> ran{0};
    std::atomic<int> live{0};
    struct result {
      std::atomic<int>* live = nullptr;
      explicit result(std::atomic<int>& l) : live(&l) { ++l; }
      result(result&& other) noexcept : live(std::exchange(other.live, nullptr)) {}
      ~result() {
        if (live) --*live;
      }
    };
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      auto stays = g.create_task(sleep_long());
      for (int i = 0; i < n; ++i) {
        g.create_task(
            [&](std::shared_ptr<int>) -> h::task<result> {
              ++ran;
              co_return result(live);
            },
            kept);
        if (i % 16 == 0) co_await h::yield_now();
      }
      co_await until([&] { return ran == n && kept.use_count() == 1 && live == 0; });
      HOLDS(kept.use_count() == 1);
      EQUAL(live.load(), 0);  // neither a frame nor a result is kept
      stays.cancel();
    });
    co_await std::move(block);
    EQUAL(ran.load(), n);
  });
}

struct breeder {
  h::task_group* group;
  std::atomic<int> alive{0};
  std::atomic<int> made{0};
  int limit;
  std::atomic<bool> failed{false};
};
h::task<> breed(breeder& b) {
  struct alive_for {
    std::atomic<int>& n;
    explicit alive_for(std::atomic<int>& a) : n(a) { ++n; }
    ~alive_for() { --n; }
  } here(b.alive);
  if (++b.made > b.limit && !b.failed.exchange(true)) throw error_e();
  for (int i = 0; i < 2; ++i) {
    co_await h::yield_now();
    try {
      b.group->create_task(breed, std::ref(b));
    } catch (const h::usage_error&) { co_return; }
  }
  co_await h::sleep(1h);
}

TEST_P(TG, TG_29_ChildrenThatBreedEndOnceOneFails) {
  run([]() -> h::task<> {
    for (int round = 0; round < rounds(20); ++round) {
      breeder b;
      b.limit = 50 + round;
      auto block = h::with_task_group([&](h::task_group& g) {
        b.group = &g;
        g.create_task(breed, std::ref(b));
      });
      EQUAL(co_await ending(std::move(block)), "Group{E}");
      EQUAL(b.alive.load(), 0);
      EQUAL(own_count(), 0u);
    }
    EQUAL(h::all_tasks().size(), 1u);
  });
}

TEST_P(TG, TG_30_AwaitingASiblingThatIsCancelledAloneIsNoFailure) {
  run([]() -> h::task<> {
    h::task_handle<> target;
    h::task_handle<> awaits;
    h::task_handle<int> other;
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      target = g.create_task(sleep_long());
      awaits = g.create_task([](h::task_handle<> t) -> h::task<> { co_await t; }, target);
      other = g.create_task([&]() -> h::task<int> {
        co_await until([&] { return awaits.done(); });
        co_return 1;
      });
      co_await until_waiting(target);
      co_await until_waiting(awaits);
      target.cancel();
      co_await until_done(awaits);
    });
    EQUAL(co_await ending(std::move(block)), "value");
    HOLDS(target.cancelled());
    HOLDS(awaits.cancelled());
    EQUAL(other.result(), 1);
  });
}

TEST_P(TG, TG_32_AShieldedTaskSurvivesTheInterruptionOfTheBody) {
  run([]() -> h::task<> {
    h::promise<> go;
    auto t = h::create_task(
        [](h::future<> f) -> h::task<int> {
          co_await f;
          co_return 5;
        },
        go.get_future());
    bool interrupted = false;
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      g.create_task(fail_when([=] { return waits(t); }));
      try {
        auto outer = h::shield(t);
        co_await outer;
      } catch (const h::cancelled_error&) {
        interrupted = true;
        throw;
      }
    });
    EQUAL(co_await ending(std::move(block)), "Group{E}");
    HOLDS(interrupted);
    HOLDS(!t.done());
    go.set_value();
    EQUAL(co_await t, 5);
    EQUAL(own_count(), 0u);
  });
}

TEST_P(TG, TG_33_CancellingTheGroupFromTheBodyLeavesWithoutAnError) {
  run([]() -> h::task<> {
    journal log;
    h::task_handle<> child;
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      child = g.create_task(sleep_long());
      co_await until_waiting(child);
      g.cancel();
      g.cancel();
      log.add("goes on");
      co_await h::sleep(1h);
      log.add("not reached");
    });
    EQUAL(co_await ending(std::move(block)), "value");
    HOLDS(child.cancelled());
    EQUAL(log.joined(), "goes on");
    EQUAL(own_count(), 0u);
    co_await h::sleep(1ms);

    // Without a wait after it.
    auto brief = h::with_task_group([&](h::task_group& g) {
      child = g.create_task(sleep_long());
      g.cancel();
    });
    EQUAL(co_await ending(std::move(brief)), "value");
    HOLDS(child.cancelled());
    EQUAL(own_count(), 0u);
    co_await h::yield_now();
    co_await h::sleep(1ms);
  });
}

TEST_P(TG, TG_33_CancellingTheGroupFromAChildOrAnotherTask) {
  run([]() -> h::task<> {
    for (int leaving = 0; leaving < 2; ++leaving) {
      h::task_handle<> sleeper;
      auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
        sleeper = g.create_task(sleep_long());
        g.create_task([&]() -> h::task<> {
          co_await until_waiting(sleeper);
          g.cancel();
          co_await h::sleep(1h);
        });
        if (leaving) co_return;
        co_await h::sleep(1h);
      });
      EQUAL(co_await ending(std::move(block)), "value");
      HOLDS(sleeper.cancelled());
      EQUAL(own_count(), 0u);

      h::task_group g;
      std::atomic<bool> set{false};
      auto other = h::create_task([&]() -> h::task<> {
        co_await until([&] { return set && waits(sleeper); });
        g.cancel();
      });
      auto again = h::with_task_group(g, [&](h::task_group& g) -> h::task<> {
        sleeper = g.create_task(sleep_long());
        set = true;
        if (leaving) co_return;
        co_await h::sleep(1h);
      });
      EQUAL(co_await ending(std::move(again)), "value");
      HOLDS(sleeper.cancelled());
      EQUAL(own_count(), 0u);
      co_await other;
      g.cancel();  // after the end: nothing
      co_await h::yield_now();
      EQUAL(own_count(), 0u);
    }
  });
}

TEST_P(TG, TG_33_CancellingTheGroupBeforeItIsEntered) {
  run([]() -> h::task<> {
    h::task_group g;
    g.cancel();
    g.cancel();
    bool entered = false;
    bool slept = false;
    auto block = h::with_task_group(g, [&](h::task_group&) -> h::task<> {
      entered = true;
      co_await h::sleep(1h);
      slept = true;
    });
    EQUAL(co_await ending(std::move(block)), "value");
    HOLDS(entered);
    HOLDS(!slept);
    EQUAL(own_count(), 0u);
    co_await h::sleep(1ms);
  });
}

TEST_P(TG, TG_33_WhatFailsInACancelledGroupIsStillThrown) {
  run([]() -> h::task<> {
    auto of_child = h::with_task_group([](h::task_group& g) -> h::task<> {
      auto t = g.create_task([]() -> h::task<> {
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) { throw error_e(); }
      });
      co_await until_waiting(t);
      g.cancel();
    });
    EQUAL(co_await ending(std::move(of_child)), "Group{E}");
    auto of_body = h::with_task_group([](h::task_group& g) -> h::task<> {
      g.create_task(sleep_long());
      g.cancel();
      throw error_f();
      co_return;
    });
    EQUAL(co_await ending(std::move(of_body)), "Group{F}");
    EQUAL(own_count(), 0u);
    co_await h::sleep(1ms);
  });
}

TEST_P(TG, TG_33_ACancellationFromOutsideIsNotSwallowedByTheGroupsOwn) {
  run([]() -> h::task<> {
    for (int round = 0; round < rounds(200); ++round) {
      h::task_group g;
      h::task_handle<> child;
      std::atomic<bool> set{false};
      std::atomic<bool> went_on{false};
      std::atomic<unsigned> count{0};
      auto t = h::create_task([&]() -> h::task<> {
        auto block = h::with_task_group(g, [&](h::task_group& g) -> h::task<> {
          child = g.create_task(sleep_long());
          set = true;
          co_await h::sleep(1h);
        });
        try {
          co_await std::move(block);
        } catch (...) {
          count = own_count();
          throw;
        }
        went_on = true;
        count = own_count();
        co_await h::sleep(1h);  // if it came after the end of the block
      });
      co_await until([&] { return set && waits(t); });
      auto canceller = h::create_task([&]() -> h::task<> {
        co_await h::yield_now();
        g.cancel();
      });
      co_await h::yield_now();
      t.cancel();
      EQUAL(co_await ending(t), "Cancelled");
      HOLDS(count == 1 || (went_on && count == 0));
      co_await canceller;
    }
  });
}

TEST_P(TG, TG_34_ChildrenThatFailTogetherAbortOnce) {
  run([]() -> h::task<> {
    const int k = 8;
    for (int round = 0; round < rounds(1000); ++round) {
      std::atomic<bool> go{false};
      std::atomic<int> ready{0};
      std::atomic<int> ended{0};
      auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
        for (int i = 0; i < k; ++i)
          g.create_task([&]() -> h::task<> {
            struct at_end {
              std::atomic<int>& n;
              ~at_end() { ++n; }
            } here{ended};
            ++ready;
            try {
              for (int turn = 0; !go || (ready < k && turn < 200); ++turn) co_await h::yield_now();
            } catch (const h::cancelled_error&) {}
            throw error_e();
          });
        go = true;
        co_await h::sleep(1h);
      });
      std::size_t errors = 0;
      try {
        co_await std::move(block);
      } catch (const h::exception_group& group) { errors = group.exceptions().size(); }
      // One that had not begun when the first failed was cancelled instead.
      HOLDS(errors >= 1 && errors == static_cast<std::size_t>(ended.load()));
      EQUAL(own_count(), 0u);
    }
    EQUAL(h::all_tasks().size(), 1u);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(TG, TG_34_EagerChildrenAndFatalErrors) {
  std::string caught;
  THROWS(h::fatal_error, run([&]() -> h::task<> {
           auto block = h::with_task_group([](h::task_group& g) -> h::task<> {
             h::task_options eager;
             eager.eager = true;
             g.create_task(eager, []() -> h::task<> {
               throw h::fatal_error("stop all");
               co_return;
             });
             co_await h::sleep(1h);
           });
           caught = co_await ending(std::move(block));
         }));
  THROWS(h::fatal_error, run([&]() -> h::task<> {
           h::task_handle<> child;
           auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
             child = g.create_task(sleep_long());
             throw h::fatal_error("stop all");
             co_return;
           });
           caught = co_await ending(std::move(block));
           HOLDS(child.cancelled());
           throw h::fatal_error("again");
         }));
  EQUAL(caught, "Fatal");
}

}  // namespace
