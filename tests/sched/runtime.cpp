// SPDX-License-Identifier: MIT
// run, runtime, submit.
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

class Runtime : public support::at_loops {};
class Submit : public support::at_loops {};

// ----------------------------------------------------------------------- run

TEST_P(Runtime, RunYieldsTheResult) {
  EXPECT_EQ(run([]() -> h::task<int> {
              co_await h::yield_now();
              co_return 42;
            }()),
            42);
  EXPECT_EQ(*run([]() -> h::task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); }()),
            7);
}

TEST_P(Runtime, RunThrowsWhatMainThrows) {
  EXPECT_THROW(run([]() -> h::task<> {
                 co_await h::yield_now();
                 throw std::out_of_range("E");
               }()),
               std::out_of_range);
  EXPECT_THROW(run([]() -> h::task<> {
                 h::current_task().cancel();
                 co_await h::yield_now();
               }()),
               h::cancelled_error);
}

TEST_P(Runtime, RunInsideARunningLoopIsAUsageErrorOnEveryLoopAndNothingStarts) {
  h::runtime rt(with());
  rt.run([](h::runtime& rt) -> h::task<> {
    std::atomic<unsigned> refused{0};
    std::atomic<bool> started{false};
    auto body = [](std::atomic<bool>& started) -> h::task<> {
      started = true;
      co_return;
    };
    for (unsigned i = 0; i < rt.loop_count(); ++i)
      rt.loop(i).call_soon([&] {
        EXPECT_THROW(h::run(body(started)), h::usage_error);
        EXPECT_THROW(rt.run(body(started)), h::usage_error);
        EXPECT_THROW(rt.run_forever(), h::usage_error);
        EXPECT_THROW(h::runtime(), h::usage_error);
        ++refused;
      });
    co_await until_later([&] { return refused == rt.loop_count(); });
    EXPECT_FALSE(started);
  }(rt));
}

TEST_P(Runtime, RunMayBeCalledAgainAndFromSeveralThreads) {
  h::runtime rt(with());
  auto main = [](int i) -> h::task<int> {
    co_await h::sleep(200us);
    co_return i;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rt.run(main(i)), i);
  std::vector<std::thread> all;
  std::atomic<int> sum{0};
  for (int i = 0; i < 10; ++i) all.emplace_back([&, i] { sum += rt.run(main(i)); });
  for (auto& t : all) t.join();
  EXPECT_EQ(sum, 45);
}

TEST_P(Runtime, OptionsOutOfRangeAreABadValue) {
  h::options o;
  o.loops = 257;
  EXPECT_THROW(h::runtime{o}, h::bad_value);
  h::runtime rt(with());
  EXPECT_EQ(rt.loop_count(), loops());
  EXPECT_THROW((void)rt.loop(loops()), h::bad_value);
  EXPECT_EQ(rt.loop(0).index(), 0u);
  EXPECT_EQ(&rt.loop(0).owner(), &rt);
}

TEST_P(Runtime, ManyAreBornAndEndAtOnce) {
  std::vector<std::thread> all;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i)
    all.emplace_back([&] {
      for (int k = 0; k < support::rounds(30); ++k) {
        const int v = h::run(
            [](int k) -> h::task<int> {
              auto left_over = h::create_task([]() -> h::task<> { co_await h::sleep(1h); });
              auto t = h::create_task([](int k) -> h::task<int> { co_return k; }, k);
              co_return co_await t;
            }(k),
            with());
        if (v != k) ++wrong;
      }
    });
  for (auto& t : all) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(Runtime, RunForeverReturnsWhenItIsStopped) {
  h::runtime rt(with());
  rt.loop(0).call_later(1ms, [&] { rt.stop(); });
  rt.run_forever();
  rt.stop();
  rt.run_forever();
  rt.loop(0).call_soon([] { throw stop_now(); });
  EXPECT_THROW(rt.run_forever(), stop_now);
}

// -------------------------------------------------------------------- submit

TEST_P(Submit, TheValueTheErrorOrTheCancellationComesOut) {
  h::runtime rt(with());
  EXPECT_EQ(rt.submit([]() -> h::task<int> { co_return 5; }).get(), 5);
  auto failed = rt.submit([]() -> h::task<> {
    co_await h::yield_now();
    throw std::runtime_error("E");
  });
  EXPECT_THROW(failed.get(), std::runtime_error);
  auto cancelled = rt.submit([]() -> h::task<> {
    co_await h::yield_now();
    throw h::cancelled_error("own");
  });
  try {
    cancelled.get();
    ADD_FAILURE();
  } catch (const h::cancelled_error& e) { EXPECT_STREQ(e.what(), "own"); }
  EXPECT_TRUE(cancelled.cancelled());
}

TEST_P(Submit, TenThreadsGetTheirOwnAnswers) {
  h::runtime rt(with());
  std::vector<std::thread> all;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 10; ++i)
    all.emplace_back([&, i] {
      for (int k = 0; k < support::rounds(200); ++k) {
        auto f = rt.submit(
            [](int v) -> h::task<int> {
              if (v % 3 == 0) co_await h::yield_now();
              if (v % 5 == 0) throw std::runtime_error(std::to_string(v));
              co_return v;
            },
            i * 1000 + k);
        try {
          if (f.get() != i * 1000 + k) ++wrong;
        } catch (const std::runtime_error& e) {
          if (e.what() != std::to_string(i * 1000 + k)) ++wrong;
        }
      }
    });
  for (auto& t : all) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(Submit, CancellingTheFutureCancelsTheTask) {
  h::runtime rt(with());
  for (int i = 0; i < support::rounds(200); ++i) {
    std::atomic<int> state{0};
    auto f = rt.submit(
        [](std::atomic<int>& state) -> h::task<> {
          state = 1;
          try {
            co_await h::sleep(1h);
          } catch (const h::cancelled_error&) {
            state = 2;
            throw;
          }
        },
        std::ref(state));
    if (i % 2)
      while (state == 0) std::this_thread::yield();
    EXPECT_TRUE(f.cancel());
    EXPECT_THROW(f.get(), h::cancelled_error);
    if (i % 2)
      while (state != 2) std::this_thread::yield();
    else
      rt.run([](h::runtime& rt) -> h::task<> {  // `state` must outlive the task
        co_await until_later([&] { return rt.stats().tasks == 1; });
      }(rt));
    EXPECT_FALSE(f.cancel());
  }
}

TEST_P(Submit, OneThatIsCancelledBeforeItBeginsCancelsItsFuture) {
  h::runtime rt(with());
  // All loops are busy until it is cancelled.
  std::atomic<unsigned> busy{0};
  std::atomic<bool> go_on{false};
  std::vector<h::future<void>> hogs;
  for (unsigned i = 0; i < rt.loop_count(); ++i)
    hogs.push_back(rt.submit(
        [](std::atomic<unsigned>& busy, std::atomic<bool>& go_on) -> h::task<> {
          ++busy;
          while (!go_on) std::this_thread::yield();
          co_return;
        },
        std::ref(busy), std::ref(go_on)));
  while (busy != rt.loop_count()) std::this_thread::yield();
  bool ran = false;
  auto body = [](bool& ran) -> h::task<int> {
    ran = true;
    co_return 1;
  };
  auto f = rt.submit(body(ran));
  h::detail::task_record::scan([](h::detail::task_record& r) {
    if (!r.done() && r.is_unstarted() && r.frame()) (void)h::detail::cancel_now(r);
  });
  go_on = true;
  for (auto& hog : hogs) hog.wait();
  EXPECT_THROW((void)f.get(), h::cancelled_error);
  EXPECT_TRUE(f.cancelled());
  EXPECT_FALSE(ran);
}

TEST_P(Submit, BlockingInALoopsThreadIsAUsageError) {
  h::runtime rt(with());
  auto f = rt.submit([]() -> h::task<> { co_await h::sleep(1h); });
  rt.run([](h::future<> f) -> h::task<> {
    EXPECT_THROW(f.get(), h::usage_error);
    co_return;
  }(f));
}

TEST_P(Submit, WhileTheRuntimeEndsIsAUsageErrorAndNeverAHang) {
  std::atomic<bool> refused{false};
  auto held = std::make_shared<int>(1);
  {
    h::runtime rt(with());
    rt.run([](h::runtime& rt, std::atomic<bool>& refused, std::shared_ptr<int> held) -> h::task<> {
      std::atomic<bool> asleep{false};
      auto* out = &refused;
      auto* a = &asleep;
      (void)h::create_task(
          [](h::runtime* rt, std::atomic<bool>* out, std::atomic<bool>* a,
             std::shared_ptr<int> held) -> h::task<> {
            try {
              *a = true;
              co_await h::sleep(1h);
            } catch (const h::cancelled_error&) {
              try {
                (void)rt->submit([](std::shared_ptr<int>) -> h::task<> { co_return; }, held);
              } catch (const h::usage_error&) { *out = true; }
              throw;
            }
          },
          &rt, out, a, held);
      co_await until([&] { return asleep.load(); });
    }(rt, refused, held));
  }
  EXPECT_TRUE(refused);
  EXPECT_EQ(held.use_count(), 1);
}

HEDDLE_AT_LOOPS(Runtime);
HEDDLE_AT_LOOPS(Submit);

}  // namespace
