// SPDX-License-Identifier: MIT
// Statistics, hogged and idle loops, and forks of the process.
#include <heddle/core/base/thread_state.h>
#include <heddle/core/future.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/loop/watch_bell.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>

#include <support/loops.h>
#include <support/threads.h>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::until;
using support::until_later;
using support::wake_ups;

class Statistics : public support::at_loops {};

// ---------------------------------------------------------------- statistics

TEST_P(Statistics, CountTasksAndSteps) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    std::vector<h::task_handle<>> all;
    for (int i = 0; i < 100; ++i)
      all.push_back(h::create_task([]() -> h::task<> { co_await h::yield_now(); }));
    for (auto& t : all) co_await t;
    const auto s = rt.stats();
    EXPECT_EQ(s.loops.size(), rt.loop_count());
    EXPECT_FALSE(s.reactor.empty());
    EXPECT_EQ(s.reactor, rt.reactor());
    std::uint64_t created = 0, steps = 0;
    for (unsigned i = 0; i < s.loops.size(); ++i) {
      EXPECT_EQ(s.loops[i].id, i);
      created += s.loops[i].created;
      steps += s.loops[i].run;
    }
    EXPECT_EQ(created, 100u);
    EXPECT_GE(steps, 200u);
    co_await until([&] { return rt.stats().tasks == 1; });
  }(rt));
}

// ------------------------------------------------------- hogged and idle loops

TEST(HoggedLoop, DelaysNeitherSleepsNorQueueNorSlotOfOthers) {
  for (int round = 0; round < 3; ++round) {
    h::options o;
    o.loops = 2;
    h::runtime rt(o);
    std::atomic<std::int64_t> latest{0};
    rt.run([](std::atomic<std::int64_t>& latest) -> h::task<> {
      std::atomic<bool> hogging{false};
      std::atomic<int> ended{0};
      std::atomic<std::int64_t> began{h::clock::now().time_since_epoch().count()};
      h::promise<> woken;
      auto note = [&] {
        const auto late = h::clock::now().time_since_epoch().count() - began;
        auto seen = latest.load();
        while (late > seen && !latest.compare_exchange_weak(seen, late)) {}
        ++ended;
      };
      // Sleepers on this loop, tasks in its queue, and one in its slot: then the loop is hogged.
      std::vector<h::task_handle<>> all;
      for (int i = 0; i < 20; ++i)
        all.push_back(h::create_task(
            [](auto* note, int i) -> h::task<> {
              co_await h::sleep(std::chrono::milliseconds(1 + i % 10));
              (*note)();
            },
            &note, i));
      all.push_back(h::create_task(
          [](auto* note, h::future<> f) -> h::task<> {
            co_await f;
            (*note)();
          },
          &note, woken.get_future()));
      co_await h::sleep(500us);
      auto hogger = h::create_task(
          [](auto* note, h::promise<>& woken, std::atomic<bool>& hogging,
             std::atomic<std::int64_t>& began, std::vector<h::task_handle<>>& all,
             std::atomic<int>& ended) -> h::task<> {
            began = h::clock::now().time_since_epoch().count();
            for (int i = 0; i < 20; ++i)
              all.push_back(h::create_task(
                  [](auto* note) -> h::task<> {
                    (*note)();
                    co_return;
                  },
                  note));
            woken.set_value();  // into the slot
            hogging = true;
            // Hogs the loop until all of them have ended without it; a time limit only for the case
            // that they never do.
            while (ended < 41 &&
                   h::clock::now().time_since_epoch().count() - began < 20'000'000'000) {}
            EXPECT_EQ(ended, 41);
            co_return;
          },
          &note, std::ref(woken), std::ref(hogging), std::ref(began), std::ref(all),
          std::ref(ended));
      co_await hogger;
      for (auto& t : all) co_await t;
      EXPECT_EQ(ended, 41);
    }(latest));
  }
}

TEST(HoggedLoop, OneOfManyIsNoticedToo) {
  h::options o;
  o.loops = 8;
  h::runtime rt(o);
  rt.run([]() -> h::task<> {
    for (int i = 0; i < 3; ++i) {
      std::atomic<bool> slept{false};
      auto sleeper = h::create_task(
          [](std::atomic<bool>& slept) -> h::task<> {
            co_await h::sleep(5ms);
            slept = true;
          },
          std::ref(slept));
      auto hogger = h::create_task(
          [](std::atomic<bool>& slept) -> h::task<> {
            const auto began = h::clock::now();
            while (!slept && h::clock::now() - began < 20s) {}
            EXPECT_TRUE(slept);
            co_return;
          },
          std::ref(slept));
      co_await sleeper;
      co_await hogger;
    }
  }());
}

// The other loop is busy all the time with short steps: it looks four times a millisecond, and
// never sleeps.
TEST(HoggedLoop, IsNoticedByOneThatNeverSleeps) {
  h::options o;
  o.loops = 2;
  h::runtime rt(o);
  rt.run([](h::runtime& rt) -> h::task<> {
    std::atomic<bool> slept{false};
    h::task_options first, second;
    first.loop = &rt.loop(0);
    second.loop = &rt.loop(1);
    auto busy = h::create_task(
        [](std::atomic<bool>& slept) -> h::task<> {
          while (!slept) co_await h::yield_now();
        }(slept),
        second);
    auto hogger = h::create_task(
        [](std::atomic<bool>& slept) -> h::task<> {
          h::task_options here;
          here.eager = true;
          auto sleeper = h::create_task(
              [](std::atomic<bool>& slept) -> h::task<> {
                co_await h::sleep(5ms);
                slept = true;
              }(slept),
              here);
          const auto began = h::clock::now();
          while (!slept && h::clock::now() - began < 20s) {}
          EXPECT_TRUE(slept);
          slept = true;
          co_await sleeper;
        }(slept),
        first);
    co_await hogger;
    co_await busy;
  }(rt));
}

TEST_P(Statistics, AnIdleRuntimeDoesNotWakeUp) {
  h::runtime rt(with());
  rt.run([]() -> h::task<> {
    std::vector<h::task_handle<>> all;
    for (int i = 0; i < 100; ++i)
      all.push_back(h::create_task([]() -> h::task<> { co_await h::sleep(100us); }));
    for (auto& t : all) co_await t;
  }());
  const auto parked = [&] {
    std::uint64_t n = 0;
    for (const auto& l : rt.stats().loops) n += l.parked;
    return n;
  };
  // The loops linger for some 20 ms, and the watch for some looks; on a busy machine both may be
  // late. So nothing is judged until the watch has said that it sleeps, and a while has passed in
  // which nobody woke up.
  const auto all = [&] { return parked() + wake_ups(); };
  EXPECT_TRUE(support::comes([] {
    return h::detail::watch_bell.load(h::detail::seq_cst) == h::detail::watch_state::asleep;
  }));
  auto before = all();
  for (int i = 0; i < 100; ++i) {
    std::this_thread::sleep_for(100ms);
    const auto now = all();
    if (now == before) break;
    before = now;
  }
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(all(), before);
  EXPECT_EQ(rt.run([]() -> h::task<int> { co_return 1; }()), 1);
}

HEDDLE_AT_LOOPS(Statistics);

TEST(Fork, AChildFindsWhatAllRuntimesShareUnlocked) {
  h::run([]() -> h::task<> { co_return; }());  // a process that runs loops is prepared for forks
  auto& depot = h::detail::process_frames().of(0);
  std::atomic<bool> end{false};
  std::thread holds([&] {
    while (!end) {
      depot.hold();
      for (int i = 0; i < 500; ++i) h::detail::cpu_relax();
      depot.let_go();
      // A waiter looks once in a millisecond in the end: half of its looks find the lock free.
      for (int i = 0; i < 500; ++i) h::detail::cpu_relax();
    }
  });
  for (int i = 0; i < 50; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);  // ends it if it waits for a thread that it does not have
      depot.hold();
      depot.let_go();
      ::_exit(0);
    }
    int status = -1;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    EXPECT_TRUE(WIFEXITED(status)) << i;
    if (!WIFEXITED(status)) break;
  }
  end = true;
  holds.join();
}

}  // namespace
