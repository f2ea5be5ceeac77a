// SPDX-License-Identifier: MIT
// Errors that nobody catches, and how a runtime ends.
#include <heddle/core/base/thread_state.h>
#include <heddle/core/future.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>

#include <support/loops.h>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::stop_now;
using support::until;
using support::until_later;

class Errors : public support::at_loops {};
class Shutdown : public support::at_loops {};

// -------------------------------------------------------------------- errors

TEST_P(Errors, AFatalOneOfAnyTaskLeavesRunAtOnce) {
  EXPECT_THROW(run([]() -> h::task<> {
                 (void)h::create_task([]() -> h::task<> {
                   co_await h::yield_now();
                   throw stop_now();
                 });
                 co_await h::sleep(1h);
               }()),
               stop_now);
  EXPECT_THROW(run([]() -> h::task<> {
                 h::current_loop().call_soon([] { throw stop_now(); });
                 co_await h::sleep(1h);
               }()),
               stop_now);
  EXPECT_THROW(run([]() -> h::task<> {
                 throw stop_now();
                 co_return;
               }()),
               stop_now);
}

TEST_P(Errors, AFatalOneIsNoOrdinaryErrorAndIsToldOnce) {
  h::runtime rt(with());
  EXPECT_THROW(rt.run([]() -> h::task<> {
    try {
      throw stop_now();
    } catch (const std::exception&) { ADD_FAILURE() << "swallowed"; }
    co_return;
  }()),
               stop_now);
  rt.run([]() -> h::task<> { co_await h::yield_now(); }());
}

TEST_P(Errors, AHandlerOfACancellationMayThrowAFatalOne) {
  EXPECT_THROW(run([]() -> h::task<> {
                 std::atomic<bool> asleep{false};
                 auto t = h::create_task(
                     [](std::atomic<bool>& asleep) -> h::task<> {
                       try {
                         asleep = true;
                         co_await h::sleep(1h);
                       } catch (const h::cancelled_error&) { throw stop_now(); }
                     },
                     std::ref(asleep));
                 co_await until([&] { return asleep.load(); });
                 t.cancel();
                 co_await h::sleep(1h);
               }()),
               stop_now);
}

TEST_P(Errors, TheHandlersCallsNeverOverlapAndNoneIsLost) {
  support::reports seen;
  auto o = with();
  seen.install(o);
  constexpr std::size_t n = 500;
  h::run(
      []() -> h::task<> {
        for (std::size_t i = 0; i < n; ++i)
          (void)h::create_task([]() -> h::task<> {
            co_await h::yield_now();
            throw std::runtime_error("lost");
          });
        co_await until_later([] { return h::all_tasks().size() == 1; });
      }(),
      o);
  EXPECT_EQ(seen.count(), n);
  EXPECT_FALSE(seen.overlapped());
}

TEST_P(Errors, AHandlerThatThrowsOrReportsItselfDoesNoHarm) {
  auto o = with();
  std::atomic<int> calls{0};
  o.exception_handler = [&](const h::error_context& what) {
    ++calls;
    if (what.message == "again") return;
    h::current_runtime().report({"again", nullptr, {}});
    h::current_runtime().set_exception_handler([&](const h::error_context&) { calls += 100; });
    throw std::runtime_error("the handler's own (this line on stderr is expected)");
  };
  h::run(
      [](std::atomic<int>& calls) -> h::task<> {
        h::current_loop().call_soon(
            [] { throw std::runtime_error("first (this line on stderr is expected)"); });
        co_await until_later([&] { return calls == 2; });
        h::current_loop().call_soon([] { throw std::runtime_error("second"); });
        co_await until_later([&] { return calls == 102; });
      }(calls),
      o);
  EXPECT_EQ(calls, 102);
}

TEST_P(Errors, OneThatALeftOverMakesOfItsCancellationIsReported) {
  support::reports seen;
  auto o = with();
  seen.install(o);
  EXPECT_EQ(h::run(
                []() -> h::task<int> {
                  std::atomic<bool> asleep{false};
                  auto* a = &asleep;
                  (void)h::create_task(
                      {.name = "left over"},
                      [](std::atomic<bool>* a) -> h::task<> {
                        try {
                          *a = true;
                          co_await h::sleep(1h);
                        } catch (const h::cancelled_error&) { throw std::runtime_error("E"); }
                      },
                      a);
                  co_await until([&] { return asleep.load(); });
                  co_return 1;
                }(),
                o),
            1);
  ASSERT_EQ(seen.count(), 1u);
  EXPECT_EQ(seen.at(0).task, "left over");
}

// ------------------------------------------------------------------ shutdown

/// Counts the objects that are alive.
struct alive {
  explicit alive(std::atomic<int>& n) : count(&n) { ++*count; }
  alive(const alive& other) : count(other.count) { ++*count; }
  alive& operator=(const alive&) = default;
  ~alive() { --*count; }
  std::atomic<int>* count;
};

TEST_P(Shutdown, TenThousandTasksAtVariousAwaitsAllEndCancelled) {
  constexpr int n = support::sanitized ? 1000 : 10'000;
  std::atomic<int> living{0};
  std::vector<h::task_handle<>> all;
  std::vector<h::promise<int>> never;
  run([](std::atomic<int>& living, std::vector<h::task_handle<>>& all,
         std::vector<h::promise<int>>& never) -> h::task<> {
    std::atomic<int> started{0};
    auto* s = &started;
    auto blocked = [](int i, alive, std::atomic<int>* s, h::future<int> f,
                      h::task_handle<> other) -> h::task<> {
      ++*s;
      switch (i % 7) {
        case 0: co_await h::sleep(1h); break;
        case 1: co_await f; break;
        case 2:
          if (other.valid()) co_await other;
          co_await h::sleep(1h);
          break;
        case 3:
          co_await h::gather(f, []() -> h::task<int> {
            co_await h::sleep(1h);
            co_return 1;
          }());
          break;
        case 4: co_await h::wait_for([]() -> h::task<> { co_await h::sleep(1h); }(), 30min); break;
        case 5:
          co_await h::fork_join([]() -> h::task<> { co_await h::sleep(1h); }(),
                                []() -> h::task<> { co_await h::sleep(2h); }());
          break;
        default:
          for (;;) co_await h::yield_now();
      }
    };
    for (int i = 0; i < n; ++i) {
      never.emplace_back();
      all.push_back(h::create_task(blocked, i, alive(living), s, never.back().get_future(),
                                   all.empty() ? h::task_handle<>() : all.back()));
    }
    co_await until([&] { return started == n; });
  }(living, all, never));
  EXPECT_EQ(living, 0);
  for (auto& t : all) ASSERT_TRUE(t.cancelled());
}

TEST_P(Shutdown, CleanupMayAwaitAndMakeTasksAndItAllEnds) {
  std::atomic<int> living{0}, cleaned{0};
  run([](std::atomic<int>& living, std::atomic<int>& cleaned) -> h::task<> {
    std::atomic<int> started{0};
    auto* s = &started;
    for (int i = 0; i < 50; ++i)
      (void)h::create_task(
          [](alive a, std::atomic<int>* s, std::atomic<int>* cleaned) -> h::task<> {
            ++*s;
            std::exception_ptr error;
            try {
              co_await h::sleep(1h);
            } catch (...) { error = std::current_exception(); }
            co_await h::sleep(300us);
            (void)h::create_task([](alive) -> h::task<> { co_await h::sleep(1h); }, a);
            auto helper = h::create_task(
                [](alive) -> h::task<int> {
                  co_await h::sleep(100us);
                  co_return 1;
                },
                a);
            *cleaned += co_await helper;
            std::rethrow_exception(error);
          },
          alive(living), s, &cleaned);
    co_await until([&] { return started == 50; });
  }(living, cleaned));
  EXPECT_EQ(living, 0);
  EXPECT_EQ(cleaned, 50);
}

TEST_P(Shutdown, WaitsForOneThatSwallowsItsCancellationAndWorksOn) {
  std::atomic<bool> ended{false};
  run([](std::atomic<bool>& ended) -> h::task<> {
    std::atomic<bool> asleep{false};
    (void)h::create_task(
        [](std::atomic<bool>* asleep, std::atomic<bool>* ended) -> h::task<> {
          try {
            *asleep = true;
            co_await h::sleep(1h);
          } catch (const h::cancelled_error&) {}
          co_await h::sleep(3ms);
          *ended = true;
        },
        &asleep, &ended);
    co_await until([&] { return asleep.load(); });
  }(ended));
  EXPECT_TRUE(ended);
}

TEST_P(Shutdown, ATaskThatWasNeverStartedIsDestroyedUnstarted) {
  std::atomic<int> living{0};
  run([](std::atomic<int>& living) -> h::task<> {
    for (int i = 0; i < 100; ++i)
      (void)h::create_task([](alive) -> h::task<> { co_await h::sleep(1h); }, alive(living));
    co_return;
  }(living));
  EXPECT_EQ(living, 0);
}

TEST_P(Shutdown, ForeignThreadsMayPostUpToTheEnd) {
  for (int round = 0; round < support::rounds(30); ++round) {
    std::atomic<int> living{0};
    {
      h::runtime rt(with());
      std::atomic<bool> stop{false};
      std::vector<std::thread> posters;
      for (int i = 0; i < 2; ++i)
        posters.emplace_back([&] {
          while (!stop) {
            (void)rt.submit([](alive) -> h::task<> { co_await h::sleep(1h); }, alive(living));
            rt.loop(0).call_soon([a = alive(living)] {});
            rt.loop(rt.loop_count() - 1).call_later(1h, [a = alive(living)] {});
          }
        });
      std::this_thread::sleep_for(300us);  // for some to be posted; none would only show less
      stop = true;
      for (auto& t : posters) t.join();
    }
    ASSERT_EQ(living, 0);
  }
}

TEST_P(Shutdown, TasksThatMakeTasksWithoutEndStopWhenTheyAreCancelled) {
  std::atomic<int> living{0};
  run([](std::atomic<int>& living) -> h::task<> {
    auto maker = [](alive a) -> h::task<> {
      for (;;) {
        (void)h::create_task([](alive) -> h::task<> { co_await h::sleep(1h); }, a);
        co_await h::sleep(50us);
      }
    };
    for (int i = 0; i < 5; ++i) (void)h::create_task(maker, alive(living));
    co_await until_later([&] { return living > 100; });
  }(living));
  EXPECT_EQ(living, 0);
}

HEDDLE_AT_LOOPS(Errors);
HEDDLE_AT_LOOPS(Shutdown);

}  // namespace
