// SPDX-License-Identifier: MIT
// The examples at the heads of sched's public headers: one test a header, which holds its lines.
#include <heddle/sched/any_task.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/ensure_future.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/options.h>
#include <heddle/sched/parallel_for_each.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/simulate.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sched/wait_many.h>
#include <heddle/sched/with.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;

class Examples : public support::at_loops {};

/// Stands for a request to somebody else.
h::task<std::string> fetch(const char* what) {
  co_await h::sleep(100us);
  co_return std::string("<") + what + ">";
}

h::task<> sleep_long() { co_await h::sleep(1h); }

TEST_P(Examples, AnyTask) {
  run([]() -> h::task<> {
    auto job = h::create_task(sleep_long());
    const h::any_task watched = job;
    watched.set_name("the sleeper");
    watched.cancel("not needed any more");
    bool cancelled = false;
    try {
      co_await job;
    } catch (const h::cancelled_error&) { cancelled = true; }
    EXPECT_TRUE(cancelled);
    EXPECT_TRUE(watched.cancelled());
    EXPECT_EQ(watched.get_name(), "the sleeper");
  }());
}

TEST_P(Examples, AsCompleted) {
  run([]() -> h::task<> {
    std::vector<std::string> pages;
    std::vector<h::task<std::string>> requests;
    requests.push_back(fetch("a"));
    requests.push_back(fetch("b"));

    auto all = h::as_completed(std::move(requests));
    while (auto next = co_await all.next()) pages.push_back(co_await *next);

    std::sort(pages.begin(), pages.end());
    EXPECT_EQ(pages, (std::vector<std::string>{"<a>", "<b>"}));
  }());
}

h::async_generator<int> count(int n) {
  for (int i = 0; i < n; ++i) {
    co_await h::sleep(100us);
    co_yield i;
  }
}

TEST_P(Examples, AsyncGenerator) {
  run([]() -> h::task<> {
    int sum = 0;
    auto numbers = count(10);
    while (auto* item = co_await numbers.next()) {
      sum += *item;
      if (*item == 3) break;
    }
    co_await numbers.aclose();
    EXPECT_EQ(sum, 6);
    EXPECT_TRUE(numbers.done());
  }());
}

TEST_P(Examples, CreateTask) {
  run([]() -> h::task<> {
    auto page = h::create_task(fetch("a"));
    auto other = h::create_task(fetch("b"));
    const auto both = co_await page + co_await other;
    EXPECT_EQ(both, "<a><b>");
  }());
}

TEST_P(Examples, EnsureFuture) {
  run([]() -> h::task<> {
    auto started = h::ensure_future(fetch("a"));
    auto same = h::ensure_future(started);
    const auto page = co_await same;
    EXPECT_EQ(page, "<a>");
    EXPECT_EQ(same, started);
  }());
}

h::task<std::uint64_t> fib(unsigned n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await h::fork_join(fib(n - 1), fib(n - 2));
  co_return a + b;
}

TEST_P(Examples, ForkJoin) { EXPECT_EQ(run(fib(16)), 987u); }

/// How many leaves a tree has whose nodes have `wide` children each, made on demand.
h::task<std::uint64_t> leaves(std::size_t wide, unsigned depth) {
  if (depth == 0) co_return 1;
  std::vector<std::uint64_t> found(wide);
  const auto child = [=](std::size_t) { return leaves(wide, depth - 1); };
  co_await h::fork_join(wide, child, found);
  co_return std::accumulate(found.begin(), found.end(), std::uint64_t{0});
}

TEST_P(Examples, ForkJoinOnDemand) { EXPECT_EQ(run(leaves(5, 4)), 625u); }

TEST_P(Examples, Gather) {
  run([]() -> h::task<> {
    auto [a, b] = co_await h::gather(fetch("a"), fetch("b"));
    EXPECT_EQ(a + b, "<a><b>");
  }());
}

TEST_P(Examples, Loop) {
  run([]() -> h::task<> {
    std::atomic<int> calls = 0;
    auto& here = h::current_loop();
    here.call_soon([&] { ++calls; });
    auto later = here.call_later(1h, [&] { ++calls; });
    later.cancel();
    while (calls == 0) co_await h::yield_now();
    EXPECT_EQ(calls, 1);
    EXPECT_TRUE(later.cancelled());
  }());
}

TEST(ExamplesOnce, Options) {
  h::options o;
  o.loops = 2;
  o.exception_handler = [](const h::error_context& what) { ADD_FAILURE() << what.message; };
  const auto page = h::run(fetch("a"), o);
  EXPECT_EQ(page, "<a>");
}

TEST_P(Examples, ParallelForEach) {
  run([]() -> h::task<> {
    std::vector<int> pixels(1000, 7);
    const auto brighten = [](int& pixel) { pixel *= 2; };
    co_await h::parallel_for_each(pixels, 64, brighten);
    EXPECT_EQ(std::count(pixels.begin(), pixels.end(), 14), 1000);
  }());
}

TEST(ExamplesOnce, Runtime) {
  EXPECT_EQ(h::run(fetch("a")), "<a>");  // a runtime for one task

  h::runtime rt;  // a runtime that stays
  auto first = rt.submit(fetch("b"));
  EXPECT_EQ(rt.run(fetch("c")), "<c>");
  EXPECT_EQ(first.get(), "<b>");
}

TEST_P(Examples, Shield) {
  run([]() -> h::task<> {
    auto commit = h::create_task(fetch("commit"));
    auto waiting = h::create_task(
        [](h::task_handle<std::string> inner) -> h::task<> { co_await h::shield(inner); }(commit));
    co_await h::yield_now();
    waiting.cancel();
    const auto page = co_await commit;
    EXPECT_EQ(page, "<commit>");
  }());
}

TEST(ExamplesOnce, Simulate) {
  const auto report = h::testing::simulate(42, {.loops = 3}, [] { return fetch("a"); });
  EXPECT_GE(report.elapsed, 100us);

  const auto found = h::testing::explore(1, 20, {.loops = 2}, [] { return fetch("a"); });
  EXPECT_FALSE(found) << "seed " << found->seed << ": " << found->what;
}

TEST_P(Examples, Sleep) {
  run([]() -> h::task<> {
    co_await h::yield_now();  // what else is ready runs first
    co_await h::sleep(1ms);
    const int late = co_await h::sleep(100us, 7);
    EXPECT_EQ(late, 7);
  }());
}

TEST_P(Examples, TaskGroup) {
  run([]() -> h::task<> {
    std::string a, b;
    const auto into = [](std::string& page, const char* what) -> h::task<> {
      page = co_await fetch(what);
    };
    co_await h::with_task_group([&](h::task_group& g) {
      g.create_task(into, std::ref(a), "a");
      g.create_task(into, std::ref(b), "b");
    });
    EXPECT_EQ(a + b, "<a><b>");
  }());
}

TEST_P(Examples, Timeout) {
  run([]() -> h::task<> {
    const auto body = []() -> h::task<> { co_await h::sleep(1h); };
    bool late = false;
    try {
      co_await h::timeout(1ms, body);
    } catch (const h::timeout_error&) { late = true; }
    EXPECT_TRUE(late);
  }());
}

TEST_P(Examples, ToThread) {
  run([]() -> h::task<> {
    const auto blocking = [](int n) { return n * n; };
    const int square = co_await h::to_thread(blocking, 12);
    EXPECT_EQ(square, 144);
  }());
}

TEST_P(Examples, WaitFor) {
  run([]() -> h::task<> {
    const auto page = co_await h::wait_for(fetch("a"), 10s);
    EXPECT_EQ(page, "<a>");
  }());
}

TEST_P(Examples, WaitMany) {
  run([]() -> h::task<> {
    std::vector<h::task_handle<std::string>> tasks;
    tasks.push_back(h::create_task(fetch("a")));
    tasks.push_back(h::create_task(fetch("b")));
    auto [done, pending] = co_await h::wait(tasks, h::wait_until::all_completed, 10s);
    EXPECT_EQ(done.size(), 2u);
    EXPECT_TRUE(pending.empty());
  }());
}

/// Is entered and left.
struct session {
  h::task<std::string> enter() { return fetch("connection"); }
  h::task<> exit(std::exception_ptr) {
    co_await h::yield_now();
    closed = true;
  }
  bool closed = false;
};

TEST_P(Examples, With) {
  run([]() -> h::task<> {
    session s;
    const auto length = co_await h::with(s, [](std::string& c) { return c.size(); });
    EXPECT_EQ(length, 12u);
    EXPECT_TRUE(s.closed);
  }());
}

HEDDLE_AT_LOOPS(Examples);

}  // namespace
