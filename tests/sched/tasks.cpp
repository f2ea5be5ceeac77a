// SPDX-License-Identifier: MIT
// create_task and its handle.
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

namespace h = heddle;
using namespace std::chrono_literals;
using support::journal;
using support::until;
using support::until_later;

class Tasks : public support::at_loops {};

h::task<int> give(int v) { co_return v; }
h::task<int> give_after_a_yield(int v) {
  co_await h::yield_now();
  co_return v;
}
h::task<> fail(const char* why) {
  co_await h::yield_now();
  throw std::runtime_error(why);
}

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

h::task<int> depth_of(int n) {
  if (n == 0) co_return 0;  // no ?: around a co_await, of which g++ 12 runs both sides
  co_return 1 + co_await h::create_task(depth_of(n - 1));
}

TEST_P(Tasks, AChainOfTasksThatAwaitTheirChildrenNeedsNoStack) {
  EXPECT_EQ(run(depth_of(20'000)), 20'000);
}

TEST_P(Tasks, WhoOnlyCreatesAndAwaitsLeavesTimersTheirTurn) {
  run([]() -> h::task<> {
    bool fired = false;
    h::current_loop().call_later(1ms, [&] { fired = true; });
    auto pinned = h::create_task({.loop = &h::current_loop()}, [&fired]() -> h::task<> {
      while (!fired) EXPECT_EQ(co_await h::create_task(give(1)), 1);
    });
    co_await pinned;  // apart: g++ 12 destroys the options twice where they stand in a co_await
  }());
}

TEST_P(Tasks, WhoIsCancelledByTheChildThatItAwaitsIsCancelledAlsoIfTheChildEnds) {
  run([]() -> h::task<> {
    auto parent = h::create_task([]() -> h::task<> {
      const auto self = h::current_task();
      co_await h::create_task([self]() -> h::task<> {
        self.cancel("by its child");
        co_return;
      });
      ADD_FAILURE() << "it was cancelled while it awaited";
    });
    try {
      co_await parent;
      ADD_FAILURE() << "it ended";
    } catch (const h::cancelled_error& e) { EXPECT_EQ(e.message(), "by its child"); }
    EXPECT_TRUE(parent.cancelled());
  }());
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
  h::runtime rt(two);
  std::atomic<bool> held{false}, over{false};
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

TEST_P(Tasks, OneDoesNotRunInsideCreateTask) {
  run([]() -> h::task<> {
    const auto creator = std::this_thread::get_id();
    std::atomic<bool> in_call{true}, ran_on_our_stack{false};
    auto t = h::create_task([&]() -> h::task<> {
      ran_on_our_stack = in_call && std::this_thread::get_id() == creator;
      co_return;
    });
    in_call = false;
    co_await t;
    EXPECT_FALSE(ran_on_our_stack);
  }());
}

TEST_P(Tasks, AwaitingYieldsTheValueAnyNumberOfTimes) {
  run([]() -> h::task<> {
    auto t = h::create_task(give_after_a_yield(42));
    int& first = co_await t;
    int& second = co_await t;
    EXPECT_EQ(first, 42);
    EXPECT_EQ(&first, &second);
    EXPECT_EQ(t.result(), 42);
    EXPECT_EQ(t.exception(), nullptr);
    EXPECT_TRUE(t.done());
    EXPECT_FALSE(t.cancelled());
  }());
}

TEST_P(Tasks, ManyTasksMayAwaitOne) {
  run([]() -> h::task<> {
    auto t = h::create_task(give_after_a_yield(7));
    std::vector<h::task_handle<int>> all;
    for (int i = 0; i < 50; ++i)
      all.push_back(
          h::create_task([](h::task_handle<int> t) -> h::task<int> { co_return co_await t; }, t));
    int sum = 0;
    for (auto& a : all) sum += co_await a;
    EXPECT_EQ(sum, 350);
  }());
}

TEST_P(Tasks, TheSameErrorReachesEveryoneWhoAwaits) {
  run([]() -> h::task<> {
    auto t = h::create_task(fail("E"));
    for (int i = 0; i < 3; ++i) {
      std::string seen;
      try {
        co_await t;
      } catch (const std::runtime_error& e) { seen = e.what(); }
      EXPECT_EQ(seen, "E");
    }
    EXPECT_NE(t.exception(), nullptr);
    EXPECT_EQ(t.exception(), t.exception());
    EXPECT_THROW(t.result(), std::runtime_error);
    EXPECT_EQ(t.state(), "failed");
  }());
}

TEST_P(Tasks, AMoveOnlyResultIsMovedOut) {
  run([]() -> h::task<> {
    auto t = h::create_task(
        []() -> h::task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); });
    std::unique_ptr<int> got = co_await std::move(t);
    EXPECT_EQ(*got, 5);
  }());
}

TEST_P(Tasks, AReferenceResultIsTheObjectItself) {
  run([]() -> h::task<> {
    int object = 1;
    auto t = h::create_task([](int& o) -> h::task<int&> { co_return o; }, std::ref(object));
    int& got = co_await t;
    EXPECT_EQ(&got, &object);
  }());
}

TEST_P(Tasks, ALargeResultIsKeptAndReleased) {
  struct large {
    std::shared_ptr<int> held;
    char bytes[500]{};
  };
  auto held = std::make_shared<int>(3);
  run([](std::shared_ptr<int> held) -> h::task<> {
    auto t = h::create_task(
        [](std::shared_ptr<int> held) -> h::task<large> { co_return large{std::move(held), {}}; },
        std::move(held));
    EXPECT_EQ(*(co_await t).held, 3);
  }(held));
  EXPECT_EQ(held.use_count(), 1);
}

TEST_P(Tasks, AskingTooEarlyIsAnInvalidState) {
  run([]() -> h::task<> {
    h::promise<> gate;
    auto t = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, gate.get_future());
    EXPECT_THROW(t.result(), h::invalid_state_error);
    EXPECT_THROW((void)t.exception(), h::invalid_state_error);
    EXPECT_FALSE(t.done());
    gate.set_value();
    co_await t;
  }());
}

TEST_P(Tasks, ADroppedHandleDoesNotStopTheTask) {
  run([]() -> h::task<> {
    std::atomic<bool> logged{false};
    (void)h::create_task([&]() -> h::task<> {
      co_await h::sleep(1ms);
      logged = true;
    });
    co_await until_later([&] { return logged.load(); });
  }());
}

TEST_P(Tasks, AHandleOutlivesItsRuntime) {
  h::task_handle<std::string> kept;
  h::task_handle<> cancelled;
  h::task_handle<> failed;
  run([](h::task_handle<std::string>& kept, h::task_handle<>& cancelled,
         h::task_handle<>& failed) -> h::task<> {
    kept = h::create_task(
        []() -> h::task<std::string> { co_return "a result longer than any small string"; });
    cancelled = h::create_task([]() -> h::task<> { co_await h::sleep(1h); });
    failed = h::create_task(fail("late"));
    co_await kept;
    co_await until_later([&] { return failed.done(); });
  }(kept, cancelled, failed));
  EXPECT_EQ(kept.result(), "a result longer than any small string");
  EXPECT_FALSE(kept.cancel());
  EXPECT_TRUE(cancelled.cancelled());
  EXPECT_THROW(cancelled.result(), h::cancelled_error);
  EXPECT_THROW(failed.result(), std::runtime_error);
  EXPECT_EQ(kept.state(), "done");
  EXPECT_THROW(kept.add_done_callback([] {}), h::usage_error);
}

TEST_P(Tasks, AnEmptyTaskOrHandleIsAUsageError) {
  run([]() -> h::task<> {
    EXPECT_THROW(h::create_task(h::task<>()), h::usage_error);
    auto t = give(1);
    (void)co_await t;
    EXPECT_THROW(h::create_task(std::move(t)), h::usage_error);
    h::task_handle<int> none;
    EXPECT_FALSE(none.valid());
    EXPECT_THROW((void)none.done(), h::usage_error);
    EXPECT_THROW(none.cancel(), h::usage_error);
    bool thrown = false;
    try {
      (void)co_await none;
    } catch (const h::usage_error&) { thrown = true; }
    EXPECT_TRUE(thrown);
  }());
}

TEST_P(Tasks, CreatingOneOutsideOfARuntimeDestroysItUnstarted) {
  auto held = std::make_shared<int>(0);
  bool started = false;
  auto body = [](std::shared_ptr<int> h, bool& started) -> h::task<> {
    started = true;
    ++*h;
    co_return;
  };
  EXPECT_THROW(h::create_task(body(held, started)), h::no_running_loop);
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(started);
}

TEST_P(Tasks, PinningToTheLoopOfAnotherRuntimeIsAUsageErrorAndHarmsNothing) {
  auto held = std::make_shared<int>(0);
  h::runtime other(with());
  run([](h::loop& stranger, std::shared_ptr<int> held) -> h::task<> {
    h::task_options o;
    o.loop = &stranger;
    EXPECT_THROW(h::create_task(
                     o, [](std::shared_ptr<int>) -> h::task<> { co_return; }, held),
                 h::usage_error);
    EXPECT_EQ(held.use_count(), 2);
    co_return;
  }(other.loop(0), held));
  EXPECT_EQ(held.use_count(), 1);
}

TEST_P(Tasks, AwaitingItselfIsAUsageErrorInsideTheTask) {
  run([]() -> h::task<> {
    h::task_handle<> self;
    std::atomic<bool> ready{false};
    self = h::create_task(
        [](h::task_handle<>& self, std::atomic<bool>& ready) -> h::task<> {
          co_await until([&] { return ready.load(); });
          co_await self;
        },
        std::ref(self), std::ref(ready));
    ready = true;
    bool thrown = false;
    try {
      co_await self;
    } catch (const h::usage_error&) { thrown = true; }
    EXPECT_TRUE(thrown);
  }());
}

TEST_P(Tasks, AwaitingOneOfAnotherRuntimeIsAUsageError) {
  h::runtime other(with());
  h::task_handle<> theirs;
  std::atomic<bool> made{false};
  auto f = other.submit(
      [](h::task_handle<>& theirs, std::atomic<bool>& made) -> h::task<> {
        theirs = h::create_task([]() -> h::task<> { co_await h::sleep(1h); });
        made = true;
        co_return;
      },
      std::ref(theirs), std::ref(made));
  f.get();
  run([](h::task_handle<> theirs) -> h::task<> {
    bool thrown = false;
    try {
      co_await theirs;
    } catch (const h::usage_error&) { thrown = true; }
    EXPECT_TRUE(thrown);
  }(theirs));
  EXPECT_FALSE(theirs.done());
}

TEST_P(Tasks, NamesAreKeptAndDefaultsAreUniqueAndIncreasing) {
  run([]() -> h::task<> {
    auto named = h::create_task(give(1), {.name = "mine"});
    auto a = h::create_task(give(1));
    auto b = h::create_task(give(1));
    EXPECT_EQ(named.get_name(), "mine");
    const auto first = a.get_name(), second = b.get_name();
    EXPECT_EQ(first.rfind("task-", 0), 0u);
    EXPECT_LT(std::stoull(first.substr(5)), std::stoull(second.substr(5)));
    EXPECT_EQ(a.get_name(), first);
    b.set_name("other");
    EXPECT_EQ(b.get_name(), "other");
    co_await named;
    co_await a;
    co_await b;
  }());
}

TEST_P(Tasks, APinnedOneAlwaysRunsOnItsLoop) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    std::vector<h::task_handle<>> all;
    std::atomic<int> wrong{0};
    for (unsigned i = 0; i < 4 * rt.loop_count(); ++i) {
      h::task_options o;
      o.loop = &rt.loop(i % rt.loop_count());
      all.push_back(h::create_task(
          o,
          [](unsigned home, std::atomic<int>& wrong) -> h::task<> {
            for (int k = 0; k < 50; ++k) {
              if (h::current_loop().index() != home) ++wrong;
              if (k % 10 == 0)
                co_await h::sleep(100us);
              else
                co_await h::yield_now();
            }
          },
          i % rt.loop_count(), std::ref(wrong)));
    }
    for (auto& t : all) co_await t;
    EXPECT_EQ(wrong, 0);
  }(rt));
}

TEST_P(Tasks, NothingElseOfTheLoopRunsBetweenTheAwaitsOfPinnedTasks) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    int plain = 0;  // no lock, no atomic: all who touch it are pinned to one loop
    std::vector<h::task_handle<>> all;
    h::task_options o;
    o.loop = &rt.loop(rt.loop_count() - 1);
    for (int i = 0; i < 20; ++i)
      all.push_back(h::create_task(
          o,
          [](int& plain) -> h::task<> {
            for (int k = 0; k < 100; ++k) {
              const int before = plain;
              plain = before + 1;
              co_await h::yield_now();
            }
          },
          std::ref(plain)));
    for (auto& t : all) co_await t;
    EXPECT_EQ(plain, 2000);
  }(rt));
}

TEST_P(Tasks, AnEagerOneThatNeverSuspendsIsDoneWhenItIsMade) {
  run([]() -> h::task<> {
    auto t = h::create_task(give(3), {.eager = true});
    EXPECT_TRUE(t.done());
    EXPECT_FALSE(t.cancel());
    EXPECT_EQ(co_await t, 3);
  }());
}

TEST_P(Tasks, AnEagerOneIsTheCurrentTaskDuringItsFirstStep) {
  run([]() -> h::task<> {
    const auto creator = h::current_task();
    h::any_task inside;
    auto t = h::create_task(
        {.eager = true},
        [](h::any_task& inside) -> h::task<> {
          inside = h::current_task();
          co_await h::yield_now();
          EXPECT_EQ(h::current_task(), inside);
        },
        std::ref(inside));
    EXPECT_EQ(inside, t);
    EXPECT_EQ(h::current_task(), creator);
    co_await t;
    EXPECT_EQ(h::current_task(), creator);
  }());
}

TEST_P(Tasks, EagerOnesNest) {
  struct nest {
    static h::task<int> down(int n) {
      if (n == 0) co_return 0;
      auto t = h::create_task(down(n - 1), {.eager = true});
      co_return 1 + co_await t;
    }
  };
  EXPECT_EQ(run(nest::down(50)), 50);
}

TEST_P(Tasks, TheCurrentTaskIsRightAfterEveryResume) {
  run([]() -> h::task<> {
    std::vector<h::task_handle<>> all;
    std::atomic<int> wrong{0};
    for (int i = 0; i < 16; ++i)
      all.push_back(h::create_task(
          [](std::atomic<int>& wrong, int i) -> h::task<> {
            const auto self = h::current_task();
            const auto name = std::to_string(i);
            self.set_name(name);
            for (int k = 0; k < 40; ++k) {
              if (k % 8 == 0)
                co_await h::sleep(50us);
              else
                co_await h::yield_now();
              if (h::current_task() != self || h::current_task().get_name() != name) ++wrong;
            }
          },
          std::ref(wrong), i));
    for (auto& t : all) co_await t;
    EXPECT_EQ(wrong, 0);
  }());
}

TEST_P(Tasks, AllTasksAreExactlyThoseThatHaveNotEnded) {
  run([]() -> h::task<> {
    h::promise<> gate;
    std::vector<h::task_handle<>> pending, ended;
    for (int i = 0; i < 20; ++i) {
      pending.push_back(
          h::create_task([](h::future<> f) -> h::task<> { co_await f; }, gate.get_future()));
      ended.push_back(h::create_task([]() -> h::task<> { co_return; }));
    }
    for (auto& t : ended) co_await t;
    const auto all = h::all_tasks();
    EXPECT_EQ(all.size(), 21u);
    EXPECT_NE(std::find(all.begin(), all.end(), h::current_task()), all.end());
    for (const auto& t : pending) EXPECT_NE(std::find(all.begin(), all.end(), t), all.end());
    gate.set_value();
    for (auto& t : pending) co_await t;
    EXPECT_EQ(h::all_tasks().size(), 1u);
  }());
}

TEST_P(Tasks, AllTasksMayBeAskedForWhileOthersComeAndGo) {
  run([]() -> h::task<> {
    std::atomic<bool> stop{false};
    std::vector<h::task_handle<>> makers;
    for (int i = 0; i < 4; ++i)
      makers.push_back(h::create_task(
          [](std::atomic<bool>& stop) -> h::task<> {
            while (!stop) {
              auto t = h::create_task(give(1), {.name = "short"});
              co_await t;
              co_await h::yield_now();
            }
          },
          std::ref(stop)));
    for (int i = 0; i < support::rounds(300); ++i) {
      for (const auto& t : h::all_tasks()) (void)t.get_name();
      co_await h::yield_now();
    }
    stop = true;
    for (auto& t : makers) co_await t;
  }());
}

TEST_P(Tasks, ADoneCallbackRunsOnceAfterTheTaskReadsAsDoneForEachWayToEnd) {
  run([]() -> h::task<> {
    auto value = h::create_task(give_after_a_yield(1));
    auto error = h::create_task(fail("E"));
    auto cancelled = h::create_task([]() -> h::task<> { co_await h::sleep(1h); });
    std::atomic<int> called{0}, wrong{0};
    value.add_done_callback([&](h::task_handle<int> t) {
      if (!t.done() || t.result() != 1) ++wrong;
      ++called;
    });
    error.add_done_callback([&](h::task_handle<> t) {
      if (!t.done() || !t.exception()) ++wrong;
      ++called;
    });
    cancelled.add_done_callback([&](h::task_handle<> t) {
      if (!t.cancelled()) ++wrong;
      ++called;
    });
    cancelled.cancel();
    co_await until_later([&] { return called == 3; });
    co_await h::yield_now();
    EXPECT_EQ(called, 3);
    EXPECT_EQ(wrong, 0);
  }());
}

TEST_P(Tasks, ADoneCallbackAddedLateIsStillCalledAndNeverInsideTheCall) {
  run([]() -> h::task<> {
    auto t = h::create_task(give(1));
    co_await t;
    std::atomic<bool> called{false};
    bool in_call = true;
    t.add_done_callback([&, here = std::this_thread::get_id()] {
      EXPECT_FALSE(in_call);
      called = true;
    });
    in_call = false;
    co_await until([&] { return called.load(); });
  }());
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

TEST_P(Tasks, ADoneCallbackCanBeTakenBack) {
  auto held = std::make_shared<int>(1);
  run([](std::shared_ptr<int> held) -> h::task<> {
    h::promise<> gate;
    auto t = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, gate.get_future());
    std::atomic<bool> first{false}, second{false};
    auto handle = t.add_done_callback([&, held] { first = true; });
    t.add_done_callback([&] { second = true; });
    handle.cancel();
    EXPECT_TRUE(handle.cancelled());
    EXPECT_EQ(held.use_count(), 2);  // the one that the callback held was released
    gate.set_value();
    co_await until([&] { return second.load(); });
    EXPECT_FALSE(first);
  }(held));
  EXPECT_EQ(held.use_count(), 1);
}

/// Notes at which addresses it was.
struct placed {
  explicit placed(std::set<const void*>& s) : seen(&s) { s.insert(this); }
  placed(const placed& other) : seen(other.seen) { seen->insert(this); }
  void operator()() const {}
  std::set<const void*>* seen;
};

TEST_P(Tasks, ADoneCallbackThatWasTakenBackLeavesNothingWithItsTask) {
  run([]() -> h::task<> {
    h::promise<> gate;
    auto t = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, gate.get_future());
    std::set<const void*> seen;
    for (int i = 0; i < 10'000; ++i) t.add_done_callback(placed(seen)).cancel();
    // The same memory again and again, though the task lives; AddressSanitizer gives none out again
    // so soon.
    if (!HEDDLE_ASAN) { EXPECT_LT(seen.size(), 1000u); }
    gate.set_value();
    co_await t;
  }());
}

TEST_P(Tasks, ADoneCallbackRunsOrIsTakenBackOnceWhoeverIsFirst) {
  for (int round = 0; round < support::rounds(200); ++round) {
    auto held = std::make_shared<int>(1);
    std::atomic<int> ran{0};
    std::vector<h::callback_handle> handles;
    h::runtime rt(with());
    h::promise<> gate;
    auto ended = rt.submit([](h::future<> f, std::vector<h::callback_handle>& handles,
                              std::shared_ptr<int> held, std::atomic<int>& ran) -> h::task<> {
      auto t = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, f);
      for (int i = 0; i < 16; ++i) handles.push_back(t.add_done_callback([held, &ran] { ++ran; }));
      std::thread elsewhere([&handles] {
        for (auto& one : handles) one.cancel();
      });
      co_await t;
      elsewhere.join();
    }(gate.get_future(), handles, held, ran));
    gate.set_value();
    ended.wait();
    const auto settled = [&] {
      int n = ran;
      for (const auto& one : handles) n += one.cancelled();
      return n;
    };
    while (settled() < 16) std::this_thread::yield();
    rt.close();
    EXPECT_EQ(settled(), 16);
    handles.clear();
    ended = {};
    EXPECT_EQ(held.use_count(), 1);
  }
}

TEST_P(Tasks, ADoneCallbackThatOutlivesItsRuntimeIsDroppedUnrun) {
  auto held = std::make_shared<int>(1);
  std::atomic<bool> ran{false};
  h::runtime rt(with());
  h::promise<> gate;
  h::task_handle<> theirs;
  rt.run([](h::task_handle<>& t, h::future<> f) -> h::task<> {
    t = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, f);
    co_return;
  }(theirs, gate.get_future()));
  // Added on a loop of a runtime that ends before the task does.
  run([](h::task_handle<> t, std::shared_ptr<int> held, std::atomic<bool>& ran) -> h::task<> {
    t.add_done_callback([held, &ran] { ran = true; });
    co_return;
  }(theirs, held, ran));
  gate.set_value();
  while (!theirs.done()) std::this_thread::yield();
  rt.run([]() -> h::task<> { co_return; }());
  while (held.use_count() != 1) std::this_thread::yield();
  EXPECT_FALSE(ran);
}

TEST_P(Tasks, AForeignThreadMayAddADoneCallback) {
  h::runtime rt(with());
  h::task_handle<int> t;
  rt.run([](h::task_handle<int>& t) -> h::task<> {
    t = h::create_task(give_after_a_yield(9));
    co_return;
  }(t));
  std::atomic<int> got{0};
  t.add_done_callback([&](h::task_handle<int> t) { got = t.result(); });
  while (got == 0) std::this_thread::yield();
  EXPECT_EQ(got, 9);
}

TEST_P(Tasks, AnErrorThatNobodyAskedForIsReportedOnce) {
  support::reports seen;
  auto o = with();
  seen.install(o);
  h::run(
      []() -> h::task<> {
        auto asked = h::create_task(fail("asked"));
        try {
          co_await asked;
        } catch (const std::runtime_error&) {}
        auto lost = h::create_task(fail("lost"), {.name = "loser"});
        co_await until_later([&] { return lost.done(); });
      }(),
      o);
  ASSERT_EQ(seen.count(), 1u);
  EXPECT_NE(h::describe(seen.at(0).error).find("lost"), std::string::npos);
  EXPECT_EQ(seen.at(0).task, "loser");
}

TEST_P(Tasks, AHundredNestedPlainCallsMakeNoTask) {
  struct nest {
    static h::task<int> down(int n) {
      if (n == 0) co_return 0;
      co_return 1 + co_await down(n - 1);
    }
  };
  h::runtime rt(with());
  const auto count_created = [&] {
    std::uint64_t n = 0;
    for (const auto& l : rt.stats().loops) n += l.created;
    return n;
  };
  rt.run([](auto count_created) -> h::task<> {
    const auto before = count_created();
    EXPECT_EQ(co_await nest::down(100), 100);
    EXPECT_EQ(count_created(), before);
  }(count_created));
}

TEST_P(Tasks, EveryOneOfManyRunsExactlyOnce) {
  constexpr int n = support::sanitized ? 10'000 : 100'000;
  run([]() -> h::task<> {
    std::vector<std::atomic<std::uint8_t>> runs(n);
    std::vector<h::task_handle<>> all;
    all.reserve(n);
    for (int i = 0; i < n; ++i)
      all.push_back(h::create_task(
          [](std::atomic<std::uint8_t>& mine) -> h::task<> {
            ++mine;
            co_return;
          },
          std::ref(runs[static_cast<std::size_t>(i)])));
    for (auto& t : all) co_await t;
    int wrong = 0;
    for (auto& r : runs) wrong += r != 1;
    EXPECT_EQ(wrong, 0);
  }());
}

TEST(TasksOnSeveralLoops, MoreThanOneLoopTakesPart) {
  h::options o;
  o.loops = 2;
  h::runtime rt(o);
  rt.run([](h::runtime& rt) -> h::task<> {
    std::atomic<int> left{2};
    // Two tasks that each wait, without giving the loop up, for the other to run: only two loops
    // can do that.
    auto meet = [](std::atomic<int>& left) -> h::task<> {
      --left;
      while (left != 0) std::this_thread::yield();
      co_return;
    };
    auto a = h::create_task(meet, std::ref(left));
    auto b = h::create_task(meet, std::ref(left));
    co_await a;
    co_await b;
    std::uint64_t stolen = 0;
    for (const auto& l : rt.stats().loops) stolen += l.stolen;
    EXPECT_GT(stolen, 0u);
  }(rt));
}

HEDDLE_AT_LOOPS(Tasks);

}  // namespace
