// SPDX-License-Identifier: MIT
// Memory runs out anywhere: the verbs of sched that are rarer, with each of their allocations
// failing.
#include "memory/shortage.h"

#include <heddle/core/future.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sched/wait_many.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace memory;

class MemoryOfVerbs : public testing::TestWithParam<unsigned> {
 protected:
  static void check(const char* program, const std::function<h::task<int>()>& f, int expected) {
    survives({program, GetParam(), h::reactor_kind::epoll}, f, expected);
  }
};
INSTANTIATE_TEST_SUITE_P(Loops, MemoryOfVerbs, testing::Values(1u, 2u));

const char* const long_text = "a text that is longer than what a std::string keeps in itself";

h::task<int> number(int n) {
  co_await h::yield_now();
  co_return n;
}
h::task<> for_ever() { co_await h::sleep(1h); }

// --- threads ---

h::task<int> in_an_arena() {
  auto job = h::to_arena([](int n) { return n + 1; }, 4);
  const int n = co_await std::move(job);
  co_return n;
}
TEST_P(MemoryOfVerbs, IsShortInAnArena) { check("to_arena", in_an_arena, 5); }

h::task<int> ends_its_pools() {
  h::thread_pool own(1);
  auto chained = h::wrap_future(own.submit([] { return 3; }));
  const int n = co_await chained;
  const bool over = own.shutdown(10s);
  auto cancelled = h::current_runtime().run_in_executor([] {});
  (void)cancelled.cancel();
  co_return n + (over ? 10 : 0);
}
TEST_P(MemoryOfVerbs, IsShortWhileAPoolEnds) { check("wrap_future", ends_its_pools, 13); }

h::task<int> submits_and_posts() {
  auto& rt = h::current_runtime();
  auto job = h::to_thread([&rt] {
    auto posted = std::make_shared<h::promise<int>>();
    auto called = posted->get_future();
    auto& last = rt.loop(rt.loop_count() - 1);
    (void)last.call_soon([posted] { posted->set_value(1); });
    auto later = std::make_shared<h::promise<int>>();
    auto timed = later->get_future();
    (void)last.call_later(1ms, [later] { later->set_value(2); });
    auto kept = rt.submit(
        [](std::string text) -> h::task<int> {
          co_await h::yield_now();
          co_return text.size() > 20 ? 4 : 0;
        },
        std::string(long_text));
    auto never = rt.submit(for_ever());
    (void)never.cancel(long_text);
    return called.get() + timed.get() + kept.get();
  });
  const int n = co_await std::move(job);
  co_return n;
}
TEST_P(MemoryOfVerbs, IsShortWhileAThreadPosts) { check("submit, post", submits_and_posts, 7); }

// --- tasks ---

h::task<int> pins_and_hurries() {
  h::task_options pinned;
  pinned.loop = &h::current_runtime().loop(h::current_runtime().loop_count() - 1);
  auto there = h::create_task(number(1), pinned);
  h::task_options hurries;
  hurries.eager = true;
  auto eager = h::create_task(number(2), hurries);
  auto many = h::create_task(
      [](int a, int b, int c, int d) -> h::task<int> {
        co_await h::yield_now();
        co_return a + b + c + d;
      },
      1, 2, 3, 4);
  auto end = std::make_shared<h::promise<int>>();
  auto told = end->get_future();
  auto called = many.add_done_callback([end](const h::task_handle<int>&) { end->set_value(20); });
  auto taken_back = eager.add_done_callback([](const h::task_handle<int>&) {});
  taken_back.cancel();
  const int a = co_await there;
  const int b = co_await eager;
  const int c = co_await many;
  const int d = co_await told;
  co_return a + b + c + d;
}
TEST_P(MemoryOfVerbs, IsShortAroundPinnedAndEagerTasks) {
  check("pinned, eager", pins_and_hurries, 33);
}

h::task<int> takes_a_request_back() {
  auto stubborn = h::create_task([]() -> h::task<int> {
    int met = 0;
    try {
      co_await h::sleep(1h);
    } catch (const h::cancelled_error&) { ++met; }
    met += static_cast<int>(h::current_task().uncancel()) * 100;
    co_await h::yield_now();
    co_return met;
  });
  co_await h::yield_now();
  const bool begun = stubborn.cancel(long_text);
  int met = 0;
  try {
    met = co_await stubborn;
  } catch (const h::cancelled_error&) {
    met = begun ? 1 : 0;  // with two loops it may not have begun
  }
  co_return met;
}
TEST_P(MemoryOfVerbs, IsShortWhileARequestIsTakenBack) {
  check("uncancel", takes_a_request_back, 1);
}

h::task<int> asks_a_factory() {
  auto& rt = h::current_runtime();
  struct restores {
    h::runtime& rt;
    ~restores() { rt.set_task_factory({}); }
  } const at_end{rt};
  rt.set_task_factory([](h::task_options& o) { o.name = long_text; });
  auto named = h::create_task(number(1));
  const int n = co_await named;
  const auto all = h::all_tasks(rt);
  h::error_context what;
  what.message = long_text;
  rt.report(what);
  co_return n + (named.get_name() == long_text ? 2 : 0) + (all.empty() ? 0 : 4);
}
TEST_P(MemoryOfVerbs, IsShortInATaskFactory) { check("task_factory", asks_a_factory, 7); }

// --- groups and time-outs ---

h::async_generator<int> count(int n) {
  const std::string held(long_text);
  for (int i = 0; i < n; ++i) {
    co_await h::yield_now();
    co_yield i + (held.empty() ? 1 : 0);
  }
}

h::task<int> generates_in_a_group() {
  std::atomic<int> sum{0};
  auto body = [&sum](h::task_group& g) -> h::task<> {
    for (int i = 0; i < 3; ++i)
      g.create_task([&sum]() -> h::task<> {
        auto add = [&sum](int n) { sum += n; };
        auto each = h::for_each(count(4), add);
        co_await std::move(each);
        auto open = count(9);
        (void)co_await open.next();
      });
    co_return;
  };
  auto group = h::with_task_group(body);
  co_await std::move(group);
  co_return sum.load();
}
TEST_P(MemoryOfVerbs, IsShortForGeneratorsInAGroup) {
  check("for_each in a group", generates_in_a_group, 18);
}

h::task<int> cancels_a_group() {
  h::task_group group;
  int ended = 0;
  auto body = [&](h::task_group& g) -> h::task<> {
    for (int i = 0; i < 5; ++i) g.create_task(for_ever());
    co_await h::yield_now();
    g.cancel();
    ended = 1;
  };
  auto block = h::with_task_group(group, body);
  co_await std::move(block);
  co_return ended;
}
TEST_P(MemoryOfVerbs, IsShortWhileAGroupIsCancelled) { check("g.cancel", cancels_a_group, 1); }

h::task<int> moves_its_end() {
  int fired = 0;
  auto body = [](h::timeout_scope& s) -> h::task<> {
    s.reschedule(h::clock::now() + 1ms);
    co_await h::sleep(1h);
  };
  try {
    auto block = h::timeout_at(h::clock::now() + 1h, body);
    co_await std::move(block);
  } catch (const h::timeout_error&) { ++fired; }
  auto slept = h::sleep(10us, std::string(long_text));
  const std::string text = co_await slept;
  co_return fired + (text == long_text ? 2 : 0);
}
TEST_P(MemoryOfVerbs, IsShortWhileATimeOutIsMoved) { check("reschedule", moves_its_end, 3); }

h::task<int> cancels_a_gathering() {
  auto a = h::create_task(for_ever());
  auto b = h::create_task(for_ever());
  auto both = h::gather(a, b);
  co_await h::yield_now();
  (void)both.cancel();
  int how = 0;
  try {
    co_await std::move(both);
  } catch (const h::cancelled_error&) { how = 1; }
  std::vector<h::task_handle<>> all{a, b};
  auto first = h::wait(all, h::wait_until::first_completed, 1h);
  const auto seen = co_await std::move(first);
  co_return how + (seen.done.empty() ? 0 : 2);
}
TEST_P(MemoryOfVerbs, IsShortWhileAGatheringIsCancelled) {
  check("gathering.cancel", cancels_a_gathering, 3);
}

// --- runtimes ---

h::task<int> runs_another() {
  auto job = h::to_thread([] {
    h::options o;
    o.loops = 1;
    o.reactor = h::reactor_kind::epoll;
    o.exception_handler = [](const h::error_context&) {};
    h::runtime other(o);
    (void)other.loop(0).call_soon([&other] { other.stop(); });
    other.run_forever();
    const int n = other.run(number(1));
    h::promise<int> p;
    auto f = p.get_future();
    p.set_value(2);
    const int m = other.run(f);
    other.close();
    return n + m;
  });
  const int n = co_await std::move(job);
  co_return n;
}
TEST_P(MemoryOfVerbs, IsShortInARuntimeWithinARuntime) {
  check("run_forever, stop", runs_another, 3);
}

}  // namespace
