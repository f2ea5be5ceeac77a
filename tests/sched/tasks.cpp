// SPDX-License-Identifier: MIT
// create_task and its handle.
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
using support::until_later;

class Tasks : public support::at_loops {};

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
      // On this loop, so that it cannot end before its parent awaits it.
      auto child = h::create_task({.loop = &h::current_loop()}, [self]() -> h::task<> {
        self.cancel("by its child");
        co_return;
      });
      co_await child;
      ADD_FAILURE() << "it was cancelled while it awaited";
    });
    try {
      co_await parent;
      ADD_FAILURE() << "it ended";
    } catch (const h::cancelled_error& e) { EXPECT_EQ(e.message(), "by its child"); }
    EXPECT_TRUE(parent.cancelled());
  }());
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
    int plain = 0;  // no lock, no atomic: all tasks that touch it are pinned to one loop
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

TEST_P(Tasks, AnErrorThatNobodyAskedForIsReportedOnce) {
  support::reports seen;
  auto o = with();
  seen.install(o);
  h::run(
      []() -> h::task<> {
        auto asked = h::create_task(fail_after_a_yield("asked"));
        try {
          co_await asked;
        } catch (const std::runtime_error&) {}
        auto lost = h::create_task(fail_after_a_yield("lost"), {.name = "loser"});
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
