// SPDX-License-Identifier: MIT
// to_thread and to_arena.
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>

#include <support/loops.h>
#include <support/threads.h>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>

namespace {

namespace h = heddle;
using support::gate;
using namespace std::chrono_literals;
using support::until;
using support::until_later;

class Offload : public support::at_loops {};

TEST_P(Offload, RunsOnceOnAnotherThreadAndYieldsTheValue) {
  run([]() -> h::task<> {
    std::atomic<int> ran{0};
    std::thread::id where;
    const int v = co_await h::to_thread(
        [&](int a, int b) {
          ++ran;
          where = std::this_thread::get_id();
          EXPECT_EQ(h::current_loop_if_any(), nullptr);
          return a + b;
        },
        40, 2);
    EXPECT_EQ(v, 42);
    EXPECT_EQ(ran, 1);
    EXPECT_NE(where, std::this_thread::get_id());
  }());
}

TEST_P(Offload, AnErrorComesBack) {
  run([]() -> h::task<> {
    std::string seen;
    try {
      co_await h::to_thread([] { throw std::runtime_error("E"); });
    } catch (const std::runtime_error& e) { seen = e.what(); }
    EXPECT_EQ(seen, "E");
  }());
}

TEST_P(Offload, MoveOnlyArgumentsAndResultsPassThrough) {
  run([]() -> h::task<> {
    auto r =
        co_await h::to_thread([](std::unique_ptr<int> p) { return std::make_unique<int>(*p + 1); },
                              std::make_unique<int>(1));
    EXPECT_EQ(*r, 2);
  }());
}

TEST_P(Offload, MoreJobsThanThreadsQueueUpAndAllFinish) {
  auto o = with();
  o.threads = 2;
  h::run(
      []() -> h::task<> {
        std::atomic<int> ran{0}, inside{0}, most{0};
        std::vector<h::task<>> all;
        for (int i = 0; i < 40; ++i)
          all.push_back(h::to_thread([&] {
            const int n = ++inside;
            int seen = most;
            while (n > seen && !most.compare_exchange_weak(seen, n)) {}
            std::this_thread::yield();
            --inside;
            ++ran;
          }));
        co_await h::gather(std::move(all));
        EXPECT_EQ(ran, 40);
        EXPECT_LE(most, 2);
      }(),
      o);
}

TEST_P(Offload, TheThreadsGiveWayAsFarAsTheyAreTold) {
  auto o = with();
  o.thread_niceness = 3;
  const int before = ::getpriority(PRIO_PROCESS, 0);
  h::run(
      [before]() -> h::task<> {
        const auto most = std::min(before + 3, 19);
        std::vector<h::task<int>> all;
        for (int i = 0; i < 20; ++i)
          all.push_back(h::to_thread([] {
            std::this_thread::sleep_for(1ms);  // so that several threads are made
            return ::getpriority(PRIO_PROCESS, 0);
          }));
        for (const int niceness : co_await h::gather(std::move(all))) EXPECT_EQ(niceness, most);
        EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), before);
      }(),
      o);
  o.thread_niceness = 20;
  EXPECT_THROW(h::run([]() -> h::task<> { co_return; }(), o), h::bad_value);
}

TEST_P(Offload, TheLoopsGoOnWhileAThreadBlocks) {
  run([]() -> h::task<> {
    gate g;
    auto blocked = h::create_task(
        [](gate& g) -> h::task<> { co_await h::to_thread([&] { g.pass(); }); }, std::ref(g));
    for (int i = 0; i < 3; ++i) co_await h::sleep(200us);
    EXPECT_FALSE(blocked.done());
    g.open();
    co_await blocked;
  }());
}

TEST_P(Offload, AJobCancelledInTheQueueNeverRuns) {
  auto o = with();
  o.threads = 1;
  h::run(
      []() -> h::task<> {
        gate g;
        std::atomic<bool> entered{false}, ran{false}, submitted{false};
        auto first = h::create_task(
            [](gate& g, std::atomic<bool>& entered) -> h::task<> {
              co_await h::to_thread([&] {
                entered = true;
                g.pass();
              });
            },
            std::ref(g), std::ref(entered));
        co_await until_later([&] { return entered.load(); });
        auto second = h::create_task(
            [](std::atomic<bool>& ran, std::atomic<bool>& submitted) -> h::task<> {
              submitted = true;
              co_await h::to_thread([&] { ran = true; });
            },
            std::ref(ran), std::ref(submitted));
        co_await until_later([&] { return submitted.load(); });
        second.cancel();
        co_await until_later([&] { return second.done(); });
        EXPECT_TRUE(second.cancelled());
        g.open();
        co_await first;
        co_await h::to_thread([] {});
        EXPECT_FALSE(ran);
      }(),
      o);
}

TEST_P(Offload, AJobThatRunsIsAbandonedAndItsArgumentsLiveUntilItReturns) {
  auto held = std::make_shared<int>(1);
  run([](std::shared_ptr<int> held) -> h::task<> {
    auto g = std::make_shared<gate>();
    std::atomic<bool> entered{false};
    auto t = h::create_task(
        [](std::shared_ptr<gate> g, std::atomic<bool>& entered,
           std::shared_ptr<int> held) -> h::task<> {
          co_await h::to_thread(
              [](const std::shared_ptr<gate>& g, std::atomic<bool>& entered,
                 const std::shared_ptr<int>& held) {
                entered = true;
                g->pass();
                EXPECT_EQ(*held, 1);
              },
              g, std::ref(entered), std::move(held));
        },
        g, std::ref(entered), std::move(held));
    co_await until_later([&] { return entered.load(); });
    t.cancel();
    co_await until_later([&] { return t.done(); });  // while the job still stands at the gate
    EXPECT_TRUE(t.cancelled());
    g->open();
  }(held));
  EXPECT_EQ(held.use_count(), 1);  // the runtime waited for the job
}

TEST_P(Offload, ATimeoutAbandonsIt) {
  run([]() -> h::task<> {
    auto g = std::make_shared<gate>();
    bool timed_out = false;
    try {
      co_await h::wait_for(h::to_thread([g] { g->pass(); }), 1ms);
    } catch (const h::timeout_error&) { timed_out = true; }
    EXPECT_TRUE(timed_out);
    g->open();
  }());
}

TEST_P(Offload, ACallThatIsNeverAwaitedIsReleased) {
  auto held = std::make_shared<int>(1);
  {
    auto unused = h::to_thread([held] {});
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST_P(Offload, CancellationsThatRaceWithTheEndLeakNothingAndLoseNothing) {
  auto held = std::make_shared<int>(1);
  run([](std::shared_ptr<int> held) -> h::task<> {
    for (int i = 0; i < support::rounds(500); ++i) {
      auto t = h::create_task(
          [](std::shared_ptr<int> held) -> h::task<int> {
            auto work = h::to_thread([held] { return *held; });  // named: g++ 12
            co_return co_await work;
          },
          held);
      for (int spin = 0; spin < i % 50; ++spin) co_await h::yield_now();
      const bool took = t.cancel();
      bool cancelled = false;
      try {
        (void)co_await t;
      } catch (const h::cancelled_error&) { cancelled = true; }
      EXPECT_EQ(took, cancelled);
    }
  }(held));
  EXPECT_EQ(held.use_count(), 1);
}

TEST_P(Offload, OutsideOfARuntimeItIsAnError) {
  h::runtime rt(with());
  // The task runs in `rt`, but the call of a pool thread has no loop.
  rt.run([]() -> h::task<> {
    co_await h::to_thread([] { EXPECT_THROW((void)h::current_loop(), h::no_running_loop); });
  }());
}

TEST_P(Offload, AnArenaRunsItAndYieldsTheValue) {
  run([]() -> h::task<> {
    EXPECT_EQ(co_await h::to_arena([] { return 6 * 7; }), 42);
    std::string seen;
    try {
      co_await h::to_arena([] { throw std::runtime_error("E"); });
    } catch (const std::runtime_error& e) { seen = e.what(); }
    EXPECT_EQ(seen, "E");
  }());
}

TEST_P(Offload, TheRuntimeWaitsForJobsThatRunAtItsEnd) {
  std::atomic<bool> ended{false};
  run([](std::atomic<bool>& ended) -> h::task<> {
    std::atomic<bool> entered{false};
    std::atomic<bool>* e = &entered;
    std::atomic<bool>* out = &ended;
    (void)h::create_task(
        [](std::atomic<bool>* e, std::atomic<bool>* out) -> h::task<> {
          co_await h::to_thread([=] {
            *e = true;
            std::this_thread::sleep_for(
                5ms);  // main has returned meanwhile; too short, it would only show less
            *out = true;
          });
        },
        e, out);
    co_await until_later([&] { return entered.load(); });
  }(ended));
  EXPECT_TRUE(ended);
}

HEDDLE_AT_LOOPS(Offload);

}  // namespace
