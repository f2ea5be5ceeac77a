// SPDX-License-Identifier: MIT
// TG-26 to TG-34: groups that are cancelled, used up, or full.
#include "task_group.h"

#include <heddle/sched/shield.h>

#include <algorithm>

namespace {

using namespace conformance;

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
