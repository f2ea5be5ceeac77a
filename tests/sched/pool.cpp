// SPDX-License-Identifier: MIT
// Threads of the pool that end, and generators inside generators: what blocks or recurses, whatever
// the number.
#include <heddle/sched/async_generator.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/runtime/thread_pool.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/to_thread.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <utility>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;

/// A job that nobody waits for.
template <class F>
class plain_job final : public h::detail::offload_job {
 public:
  explicit plain_job(F f) : function_(std::move(f)) {}

 private:
  void invoke() override { function_(); }
  F function_;
};
/// The pool takes over the only reference.
template <class F>
void give(h::detail::thread_pool& pool, F f) {
  pool.submit(*new plain_job<F>(std::move(f)));
}

TEST(Pool, AThreadThatEndsDoesNotHoldUpThoseThatStartOthers) {
  h::detail::thread_pool pool(4, 1, 1us);  // each thread ends at once
  std::atomic<int> done{0};
  for (int i = 0; i < 2000; ++i) {
    give(pool, [&done] { ++done; });
    if (i % 3 == 0)
      while (done < i) std::this_thread::yield();
  }
  EXPECT_TRUE(pool.shutdown());
  EXPECT_EQ(done, 2000);
  EXPECT_EQ(pool.threads(), 0u);
}

TEST(Pool, NobodyWaitsForTheThreadLocalsOfAThreadThatEnded) {
  static std::latch* go = nullptr;
  static std::atomic<int> ending{0};
  std::latch gate(1);
  go = &gate;
  ending = 0;
  struct slow {
    bool used = false;
    ~slow() {
      if (!used) return;
      ++ending;
      go->wait();
    }
  };
  h::detail::thread_pool pool(1, 1, 1us);
  give(pool, [] {
    thread_local slow mine;
    mine.used = true;
  });
  while (ending == 0) std::this_thread::yield();  // the first thread stands in a destructor
  std::atomic<bool> second{false};
  give(pool, [&second] { second = true; });
  while (!second) std::this_thread::yield();
  gate.count_down();
  EXPECT_TRUE(pool.shutdown());
}

h::async_generator<int> source(std::atomic<int>& closed) {
  struct counter {
    std::atomic<int>& n;
    ~counter() { ++n; }
  } at_end{closed};
  for (int i = 0;; ++i) co_yield i;
}
h::async_generator<int> passed_on(h::async_generator<int> from, std::atomic<int>& closed) {
  struct counter {
    std::atomic<int>& n;
    ~counter() { ++n; }
  } at_end{closed};
  for (;;) {
    auto* item = co_await from.next();
    if (!item) break;
    co_yield *item;
  }
}
h::async_generator<int> holds(h::async_generator<int> from, std::atomic<int>& closed) {
  auto inner = std::move(from);  // destroyed by the unwinding, not with the frame
  struct counter {
    std::atomic<int>& n;
    ~counter() { ++n; }
  } at_end{closed};
  for (;;) {
    auto* item = co_await inner.next();
    if (!item) break;
    co_yield *item;
  }
}

class Generators : public support::at_loops {};
HEDDLE_AT_LOOPS(Generators);

TEST_P(Generators, InsideEachOtherAreClosedHoweverManyTheyAre) {
  constexpr int deep = 100'000;
  for (const bool by_unwinding : {false, true}) {
    std::atomic<int> closed{0};  // several loops close them
    int after_drop = 0, after_forgotten = 0;
    run([&]() -> h::task<> {
      h::task_options pinned;
      for (const bool begun : {true, false}) {
        auto all = source(closed);
        for (int i = 1; i < deep; ++i)
          all = by_unwinding ? holds(std::move(all), closed) : passed_on(std::move(all), closed);
        if (!begun) continue;  // those that never began have nothing to clean up
        auto* first = co_await all.next();
        EXPECT_EQ(*first, 0);
        all = {};
        after_drop = closed;
      }
      after_forgotten = closed;
    }());
    EXPECT_EQ(after_drop, deep)
        << "all have run their destructors when the outermost's object is gone";
    EXPECT_EQ(after_forgotten, deep);
  }
}

TEST_P(Generators, InsideEachOtherAreClosedByTheEndOfTheirRuntime) {
  constexpr int deep = 100'000;
  std::atomic<int> closed{0};
  h::async_generator<int> outlives;
  run([](h::async_generator<int>& all, std::atomic<int>& n) -> h::task<> {
    all = source(n);
    for (int i = 1; i < deep; ++i) all = passed_on(std::move(all), n);
    (void)co_await all.next();
  }(outlives, closed));
  EXPECT_EQ(closed, deep);
  outlives = {};
}

}  // namespace
