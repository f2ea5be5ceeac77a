// SPDX-License-Identifier: MIT
// In which order tasks run: asyncio's, on one loop.
#include "sched/small_tasks.h"

#include <heddle/core/future.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace small_tasks;
using namespace std::chrono_literals;
using support::journal;
using support::until;

TEST(TaskOrder, FiveStartInTheOrderTheyWereMadeWithinOneYield) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    for (int i = 0; i < 5; ++i)
      h::create_task([&log, i]() -> h::task<> {
        log.add(std::to_string(i));
        co_return;
      });
    EXPECT_EQ(log.joined(), "");
    co_await h::yield_now();
    EXPECT_EQ(log.joined(), "0 1 2 3 4");
  }(log));
}

TEST(TaskOrder, WhatAnAwaitedTaskQueuesComesBeforeTheOneWhoAwaitsIt) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    co_await h::create_task([&log]() -> h::task<> {
      log.add("child");
      h::current_loop().call_soon([&log] { log.add("callback"); });
      h::create_task([&log]() -> h::task<> {
        log.add("grandchild");
        co_return;
      });
      co_return;
    });
    log.add("parent");
  }(log));
  EXPECT_EQ(log.joined(), "child callback grandchild parent");
}

TEST(TaskOrder, ATaskAwaitedBehindOthersRunsAfterThem) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    const auto says = [&log](const char* what) -> h::task<> {
      log.add(what);
      co_return;
    };
    h::create_task(says, "before");
    auto awaited = h::create_task(says, "awaited");
    h::create_task(says, "behind");
    co_await awaited;
    log.add("parent");
  }(log));
  EXPECT_EQ(log.joined(), "before awaited behind parent");
}

TEST(TaskOrder, YieldingTasksTakeTurns) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 3; ++i)
      all.push_back(h::create_task([&log, i]() -> h::task<> {
        for (int turn = 0; turn < 3; ++turn) {
          log.add(std::to_string(i));
          co_await h::yield_now();
        }
      }));
    for (auto& t : all) co_await t;
  }(log));
  EXPECT_EQ(log.joined(), "0 1 2 0 1 2 0 1 2");
}

TEST(TaskOrder, AnEagerOneRunsToItsFirstSuspensionBeforeTheCreatorGoesOn) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    h::task_options eager;
    eager.eager = true;
    auto t = h::create_task(eager, [&log]() -> h::task<> {
      log.add("first");
      co_await h::yield_now();
      log.add("rest");
    });
    log.add("creator");
    co_await t;
  }(log));
  EXPECT_EQ(log.joined(), "first creator rest");
}

TEST(TaskOrder, WhatTheFirstStepOfAnEagerOneAwaitsComesAfterItsCreator) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    h::task_options eager;
    eager.eager = true;
    auto t = h::create_task(eager, [&log]() -> h::task<> {
      log.add("first");
      co_await h::create_task([&log]() -> h::task<> {
        log.add("awaited");
        co_return;
      });
      log.add("rest");
    });
    log.add("creator");
    co_await t;
  }(log));
  EXPECT_EQ(log.joined(), "first creator awaited rest");
}

TEST(TaskOrder, WhatAnAwaitedTaskQueuesComesBeforeAPinnedOneThatAwaitsItAlsoBesideOtherLoops) {
  journal log;
  h::options two;
  two.loops = 2;
  std::atomic<bool> held{false}, over{false};  // longer than the runtime: a task may still look
  h::runtime rt(two);
  rt.run([](h::runtime& rt, journal& log, std::atomic<bool>& held,
            std::atomic<bool>& over) -> h::task<> {
    h::task_options there, here;
    there.loop = &rt.loop(0);
    here.loop = &rt.loop(1);
    h::create_task(there, [&]() -> h::task<> {  // steals nothing
      held = true;
      while (!over) std::this_thread::yield();
      co_return;
    });
    co_await h::create_task(here, [&]() -> h::task<> {
      while (!held) std::this_thread::yield();
      co_await h::create_task([&log]() -> h::task<> {
        h::current_loop().call_soon([&log] { log.add("callback"); });
        co_return;
      });
      log.add("parent");
      over = true;
    });
  }(rt, log, held, over));
  EXPECT_EQ(log.joined(), "callback parent");
}

TEST(TaskOrder, DoneCallbacksRunInTheOrderTheyWereAdded) {
  journal log;
  support::run_on_one([](journal& log) -> h::task<> {
    auto t = h::create_task(give_after_a_yield(1));
    for (int i = 0; i < 4; ++i) t.add_done_callback([&log, i] { log.add(std::to_string(i)); });
    co_await until([&] { return log.lines().size() == 4; });
  }(log));
  EXPECT_EQ(log.joined(), "0 1 2 3");
}

}  // namespace
