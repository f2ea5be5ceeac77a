// SPDX-License-Identifier: MIT
// The verbs under simulation: what cancels, fails and ends at once, a thousand seeds each.
#include "sched/dawdling.h"

#include <heddle/core/future.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sched/wait_many.h>

#include <memory>
#include <stdexcept>
#include <vector>

namespace {

using namespace dawdling;

TEST(GroupRaces, EveryErrorArrivesAndEveryChildHasEnded) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, []() -> h::task<> {
    int failed = 0, ended = 0;
    auto child = [&failed, &ended]() -> h::task<> {
      try {
        co_await dawdle(4);
      } catch (...) {
        ++ended;
        throw;
      }
      ++failed;
      ++ended;
      throw std::runtime_error("a child");
    };
    std::size_t told = 0;
    try {
      auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
        try {
          for (int i = 0; i < 3; ++i) g.create_task(child);
        } catch (const h::usage_error&) {}  // one has failed already: the group takes no more
        co_return;
      });
      co_await std::move(block);
    } catch (const h::exception_group& e) { told = e.exceptions().size(); }
    require(told == static_cast<std::size_t>(failed), "an error was lost, or told twice");
    require(told >= 1, "no error at all");
    require(h::current_task().cancelling() == 0, "a request was left over");
    co_await h::sleep(1ms);  // and none is pending
  }));
}

TEST(GroupRaces, CancelledFromOutsideWhileAChildFails) {
  bool seen_errors = false, seen_cancelled = false;
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, [&]() -> h::task<> {
    int alive = 0;
    auto outer = h::create_task([&alive]() -> h::task<> {
      auto block = h::with_task_group([&alive](h::task_group& g) -> h::task<> {
        g.create_task(fails_soon);
        g.create_task([&alive]() -> h::task<> {
          ++alive;
          try {
            co_await h::sleep(1h);
          } catch (...) {
            --alive;
            throw;
          }
        });
        co_await h::sleep(1h);
      });
      co_await std::move(block);
    });
    co_await dawdle(6);
    outer.cancel();
    try {
      co_await outer;
      require(false, "it ended well");
    } catch (const h::cancelled_error&) {
      seen_cancelled = true;
    } catch (const h::exception_group&) { seen_errors = true; }
    require(alive == 0, "a child outlived its group");
  }));
  EXPECT_TRUE(seen_errors && seen_cancelled);
}

TEST(GroupRaces, TheGroupIsCancelledByOneOfItsChildren) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, []() -> h::task<> {
    int ended = 0;
    auto block = h::with_task_group([&](h::task_group& g) -> h::task<> {
      for (int i = 0; i < 3; ++i) {
        h::task_handle<void> started;
        try {
          started = g.create_task([&ended, &g, i]() -> h::task<> {
            co_await dawdle(3);
            if (i == 1) g.cancel();
            co_await dawdle(3);
            ++ended;
          });
        } catch (const h::usage_error&) {}  // cancelled already: the group takes no more
      }
      co_await dawdle(3);
    });
    co_await std::move(block);
    require(ended <= 3, "a child ended twice");
    require(h::current_task().cancelling() == 0, "a request was left over");
    co_await h::sleep(1ms);
  }));
}

TEST(ShieldRaces, TheInnerTaskIsNeverCancelled) {
  bool outer_cancelled = false, outer_done = false;
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, [&]() -> h::task<> {
    auto inner = h::create_task([]() -> h::task<int> {
      co_await dawdle(5);
      co_return 7;
    });
    auto outer = h::create_task([inner]() -> h::task<int> {
      auto kept = h::shield(inner);
      co_return co_await kept;
    });
    co_await dawdle(6);
    outer.cancel();
    try {
      require(co_await outer == 7, "another value");
      outer_done = true;
    } catch (const h::cancelled_error&) { outer_cancelled = true; }
    require(co_await inner == 7, "the inner task was disturbed");
  }));
  EXPECT_TRUE(outer_done && outer_cancelled);
}

TEST(WaitRaces, TheFirstToEndWhileTheWaiterIsCancelledOrOutOfTime) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, []() -> h::task<> {
    const auto when = h::clock::now() + 1ms;
    std::vector<h::task_handle<void>> tasks;
    for (int i = 0; i < 3; ++i)
      tasks.push_back(h::create_task([when]() -> h::task<> {
        co_await h::sleep(when - h::clock::now());
        co_await dawdle(2);
      }));
    auto waits = h::create_task([&tasks, when]() -> h::task<> {
      auto first = h::wait(tasks, h::wait_until::first_completed, when - h::clock::now());
      auto [done, pending] = co_await std::move(first);
      require(done.size() + pending.size() == 3, "a member is missing");
      for (auto& d : done) require(d.done(), "told done, and is not");
    });
    co_await h::sleep(when - h::clock::now());
    co_await dawdle(3);
    waits.cancel();
    try {
      co_await waits;
    } catch (const h::cancelled_error&) {}
    for (auto& one : tasks) co_await one;  // cancelling the waiter leaves its members alone
  }));
}

TEST(WaitRaces, AsCompletedYieldsEachMemberOnce) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 3}, []() -> h::task<> {
    std::vector<h::task_handle<int>> tasks;
    for (int i = 0; i < 4; ++i)
      tasks.push_back(h::create_task([i]() -> h::task<int> {
        co_await dawdle(4);
        co_return 1 << i;
      }));
    auto completed = h::as_completed(tasks);
    int seen = 0, count = 0;
    for (;;) {
      auto next = co_await completed.next();
      if (!next) break;
      seen |= next->result();
      ++count;
    }
    require(count == 4 && seen == 15, "a member is missing, or came twice");
  }));
}

TEST(TimeoutRaces, NestedScopesThatFireAtOnce) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 2}, []() -> h::task<> {
    const auto when = h::clock::now() + 1ms;
    bool inner_fired = false, outer_fired = false;
    try {
      auto outer = h::timeout(when - h::clock::now(), [&]() -> h::task<> {
        try {
          auto inner = h::timeout(when - h::clock::now(), [&]() -> h::task<> {
            co_await h::sleep(when - h::clock::now());
            co_await dawdle(2);
          });
          co_await std::move(inner);
        } catch (const h::timeout_error&) { inner_fired = true; }
        co_await h::sleep(1ms);
      });
      co_await std::move(outer);
    } catch (const h::timeout_error&) { outer_fired = true; }
    require(outer_fired, "the outer scope never expired");
    require(h::current_task().cancelling() == 0, "a request was left over");
    co_await h::sleep(1ms);
    (void)inner_fired;
  }));
}

TEST(JobRaces, AJobEndsWhileItsWaiterIsCancelled) {
  NO_SEED_FAILS(t::explore(1, many, {.loops = 2}, []() -> h::task<> {
    bool ran = false;
    auto waits = h::create_task([&ran]() -> h::task<int> {
      auto job = h::to_thread([&ran] {
        t::overtaking_point();
        ran = true;
        return 3;
      });
      co_return co_await std::move(job);
    });
    co_await dawdle(5);
    waits.cancel();
    try {
      require(co_await waits == 3 && ran, "another value");
    } catch (const h::cancelled_error&) {}
    // It runs on alone if it was begun, and refers to `ran`: so wait for it.
    auto after = h::to_thread([] { t::block_for(1s); });
    co_await std::move(after);
  }));
}

TEST(ShutdownRaces, SubmittedWhileTheRuntimeEnds) {
  bool refused = false, ran = false, cut = false;
  for (std::uint64_t seed = 1; seed <= many; ++seed) {
    t::simulate_program(seed, [&] {
      auto r = std::make_unique<h::runtime>(h::options{.loops = 2});
      std::optional<h::future<int>> result;
      {
        t::virtual_thread submits([&] {
          try {
            result = r->submit([]() -> h::task<int> {
              co_await dawdle(3);
              co_return 5;
            });
          } catch (const h::usage_error&) { refused = true; }
        });
        for (auto n = t::choose(30); n > 0; --n) t::overtaking_point();
        r->close();
      }
      if (!result) return;
      require(result->done(), "its future is pending for ever");
      try {
        require(result->get() == 5, "another value");
        ran = true;
      } catch (const h::cancelled_error&) { cut = true; }
    });
  }
  EXPECT_TRUE(refused);
  EXPECT_TRUE(ran || cut);
}

TEST(ShutdownRaces, AFatalErrorIsFatalAlsoWhenTheFutureOfItsTaskIsCancelledMeanwhile) {
  bool was_fatal = false, was_cancelled = false;
  for (std::uint64_t seed = 1; seed <= many; ++seed) {
    bool threw = false, fatal = false;
    t::simulate_program(seed, [&] {
      h::runtime r({.loops = 2});
      t::virtual_thread outside([&] {
        auto result = r.submit([&threw]() -> h::task<int> {
          co_await dawdle(3);
          threw = true;
          throw h::fatal_error("the end");
          co_return 0;
        });
        for (auto n = t::choose(100); n > 0; --n) t::overtaking_point();
        result.cancel("given up");
      });
      try {
        r.run([]() -> h::task<> { co_await h::sleep(1s); }());
      } catch (const h::fatal_error&) { fatal = true; }
    });
    EXPECT_EQ(threw, fatal) << "seed " << seed;
    (fatal ? was_fatal : was_cancelled) = true;
  }
  EXPECT_TRUE(was_fatal && was_cancelled);
}

}  // namespace
