// SPDX-License-Identifier: MIT
// Memory runs out anywhere: each verb of sched and core, with each of its allocations failing.
#include "memory/shortage.h"

#include <heddle/core/context.h>
#include <heddle/core/future.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/ensure_future.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/parallel_for_each.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sched/wait_many.h>
#include <heddle/sched/with.h>

#include <support/loops.h>

#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace memory;

class Memory : public support::at_loops {
 protected:
  static void check(const char* program, const std::function<h::task<int>()>& f, int expected) {
    survives({program, GetParam(), h::reactor_kind::epoll}, f, expected);
  }
};
HEDDLE_AT_THESE_LOOPS(Memory, 1u, 2u);

h::task<int> number(int n) {
  co_await h::yield_now();
  co_return n;
}
h::task<int> later(int n) {
  co_await h::sleep(10us);
  co_return n;
}
h::task<> for_ever() { co_await h::sleep(1h); }

/// A message and a name that no small string holds.
const char* const long_text = "a text that is longer than what a std::string keeps in itself";

h::task<int> create_and_join() {
  h::task_options o;
  o.name = long_text;
  auto named = h::create_task(number(1), o);
  auto plain = h::create_task(number(2));
  const int a = co_await named;
  const int b = co_await plain;
  co_return a + b + (named.get_name() == long_text ? 10 : 0);
}
TEST_P(Memory, IsShortWhileTasksAreCreatedAndJoined) { check("create_task", create_and_join, 13); }

h::task<int> many_ready() {
  std::vector<h::task_handle<int>> all;
  all.reserve(600);
  for (int i = 0; i < 600; ++i) all.push_back(h::create_task(number(1)));
  int sum = 0;
  for (auto& t : all) sum += co_await t;
  co_return sum;
}
TEST_P(Memory, IsShortWhileARunQueueGrows) { check("600 ready tasks", many_ready, 600); }

h::task<int> cancel_with_message() {
  auto t = h::create_task(for_ever());
  co_await h::yield_now();
  (void)t.cancel(long_text);
  std::string said;
  try {
    co_await t;
  } catch (const h::cancelled_error& e) { said = e.message(); }
  co_return said == long_text ? 1 : 0;
}
TEST_P(Memory, IsShortWhileATaskIsCancelledWithAMessage) {
  // The message may be lost, the cancellation not: so the value may be 0 without a report.
  check(
      "cancel(message)",
      [] {
        return []() -> h::task<int> {
          auto work = cancel_with_message();
          (void)co_await std::move(work);
          co_return 1;
        }();
      },
      1);
}

h::task<int> gather_three() {
  auto all = h::gather(number(1), later(2), number(3));
  const auto [a, b, c] = co_await all;
  std::vector<h::task<int>> more;
  for (int i = 0; i < 5; ++i) more.push_back(number(i));
  auto others = h::gather(std::move(more));
  const auto values = co_await others;
  int sum = a + b + c;
  for (const int v : values) sum += v;
  co_return sum;
}
TEST_P(Memory, IsShortWhileTasksAreGathered) { check("gather", gather_three, 16); }

h::task<int> fails(int n) {
  co_await h::yield_now();
  throw std::runtime_error(std::to_string(n));
}
h::task<int> gather_and_settle() {
  auto all = h::gather_settled(number(1), fails(2));
  auto [a, b] = co_await all;
  co_return (a.has_value() ? 1 : 0) + (b.has_value() ? 0 : 2);
}
TEST_P(Memory, IsShortWhileTasksSettle) { check("gather_settled", gather_and_settle, 3); }

h::task<int> group_of_three() {
  std::array<h::task_handle<int>, 3> t;
  auto body = [&](h::task_group& g) -> h::task<> {
    for (int i = 0; i < 3; ++i) t[static_cast<std::size_t>(i)] = g.create_task(later(i + 1));
    co_return;
  };
  auto group = h::with_task_group(body);
  co_await std::move(group);
  co_return t[0].result() + t[1].result() + t[2].result();
}
TEST_P(Memory, IsShortInATaskGroup) { check("task_group", group_of_three, 6); }

h::task<int> group_that_fails() {
  int errors = 0;
  auto body = [](h::task_group& g) -> h::task<> {
    g.create_task(for_ever());
    g.create_task(fails(1));
    co_return;
  };
  try {
    auto group = h::with_task_group(body);
    co_await std::move(group);
  } catch (const h::exception_group& e) {
    // With two loops both children may fail: one as it shall, the other for want of memory.
    for (const auto& error : e.exceptions())
      if (h::describe(error).find("bad_alloc") != std::string::npos) throw;
    errors = static_cast<int>(e.exceptions().size());
  }
  co_return errors;
}
TEST_P(Memory, IsShortInATaskGroupThatFails) { check("task_group, failing", group_that_fails, 1); }

h::task<int> time_outs() {
  int fired = 0;
  try {
    auto block = h::timeout(1ms, [] { return for_ever(); });
    co_await std::move(block);
  } catch (const h::timeout_error&) { ++fired; }
  try {
    auto wait = h::wait_for(for_ever(), 1ms);
    co_await std::move(wait);
  } catch (const h::timeout_error&) { ++fired; }
  auto in_time = h::wait_for(number(5), 1h);
  const int five = co_await std::move(in_time);
  co_return fired + five;
}
TEST_P(Memory, IsShortAroundTimeOuts) { check("timeout, wait_for", time_outs, 7); }

h::task<int> shielded() {
  h::promise<> go;
  auto gone = go.get_future();
  auto inner = h::create_task([gone]() -> h::task<int> {
    co_await gone;
    co_return 3;
  });
  auto outer = h::create_task([inner]() -> h::task<int> {
    auto s = h::shield(inner);
    const int n = co_await s;
    co_return n;
  });
  co_await h::yield_now();
  outer.cancel();
  int how = 0;
  try {
    (void)co_await outer;
  } catch (const h::cancelled_error&) { how = 10; }
  go.set_value();
  const int n = co_await inner;
  co_return n + how;
}
TEST_P(Memory, IsShortBehindAShield) { check("shield", shielded, 13); }

h::task<int> waits_for_many() {
  std::vector<h::task_handle<int>> all;
  for (int i = 0; i < 4; ++i) all.push_back(h::create_task(later(i)));
  auto some = h::wait(all, h::wait_until::all_completed, 1h);
  const auto result = co_await some;
  co_return static_cast<int>(result.done.size());
}
TEST_P(Memory, IsShortWhileOneWaitsForMany) { check("wait", waits_for_many, 4); }

h::task<int> takes_as_completed() {
  std::vector<h::task<int>> members;
  for (int i = 0; i < 4; ++i) members.push_back(later(i));
  auto all = h::as_completed(std::move(members), 1h);
  int sum = 0;
  for (;;) {
    auto next = co_await all.next();
    if (!next) break;
    sum += next->result();
  }
  co_return sum;
}
TEST_P(Memory, IsShortWhileMembersAreTakenAsTheyComplete) {
  check("as_completed", takes_as_completed, 6);
}

h::async_generator<int> count(int n) {
  const std::string held(long_text);
  for (int i = 0; i < n; ++i) {
    co_await h::yield_now();
    co_yield i + (held.empty() ? 1 : 0);
  }
}
h::async_generator<int> passed_on(h::async_generator<int> from) {
  for (;;) {
    auto* item = co_await from.next();
    if (!item) break;
    co_yield *item;
  }
}
h::task<int> generates() {
  int sum = 0;
  auto all = passed_on(count(4));
  for (;;) {
    auto* item = co_await all.next();
    if (!item) break;
    sum += *item;
  }
  auto closed = count(9);
  (void)co_await closed.next();
  auto closing = closed.aclose();
  co_await std::move(closing);
  {
    auto forgotten = passed_on(count(9));
    (void)co_await forgotten.next();
  }
  co_return sum;
}
TEST_P(Memory, IsShortInGenerators) { check("async_generator", generates, 6); }

h::task<int> leaves_a_generator_open() {
  static std::vector<h::async_generator<int>> kept;
  kept.clear();
  kept.reserve(4);
  for (int i = 0; i < 4; ++i) {
    kept.push_back(count(9));
    (void)co_await kept.back().next();
  }
  auto all = h::current_runtime().shutdown_async_generators();
  co_await std::move(all);
  kept.clear();
  co_return 1;
}
TEST_P(Memory, IsShortWhileGeneratorsAreShutDown) {
  survives(
      {"shutdown_async_generators", GetParam(), h::reactor_kind::epoll},
      [] {
        return []() -> h::task<int> {
          auto work = leaves_a_generator_open();
          try {
            (void)co_await std::move(work);
          } catch (const h::usage_error&) {}
          co_return 1;
        }();
      },
      1);
}

h::task<int> futures() {
  h::promise<int> p;
  auto f = p.get_future();
  auto called = std::make_shared<h::promise<>>();  // the callback may come after us
  auto done = called->get_future();
  f.add_done_callback([called](const h::future<int>&) { called->set_value(); });
  auto waiter = h::create_task([f]() -> h::task<int> {
    const int n = co_await f;
    co_return n;
  });
  co_await h::yield_now();
  p.set_value(4);
  const int n = co_await waiter;
  co_await done;
  h::promise<int> q;
  auto g = q.get_future();
  (void)g.cancel(long_text);
  int how = 0;
  try {
    (void)co_await g;
  } catch (const h::cancelled_error&) { how = 10; }
  co_return n + how;
}
TEST_P(Memory, IsShortAroundFutures) { check("future", futures, 14); }

h::task<int> callbacks() {
  auto& loop = h::current_loop();
  struct counts {  // the callbacks may come after us
    int sum = 0;
    h::promise<> last;
  };
  auto all = std::make_shared<counts>();
  auto end = all->last.get_future();
  loop.call_soon([all] { all->sum += 1; });
  loop.call_later(1ms, [all] {
    all->sum += 2;
    all->last.set_value();
  });
  auto never = loop.call_later(1h, [all] { all->sum += 100; });
  auto t = h::create_task(number(3));
  t.add_done_callback([all](const h::task_handle<int>& ended) { all->sum += ended.result(); });
  co_await t;
  co_await end;
  never.cancel();
  co_await h::sleep(1ms);
  co_return all->sum;
}
TEST_P(Memory, IsShortAroundCallbacks) {
  // One loop, so that `sum` needs no lock.
  survives({"call_soon, call_later", 1, h::reactor_kind::epoll}, callbacks, 6);
}

h::task<int> jobs() {
  auto job = h::to_thread([] { return 1; });
  const int a = co_await std::move(job);
  auto in_pool = h::current_runtime().run_in_executor([](int n) { return n; }, 2);
  const int b = co_await std::move(in_pool);
  h::thread_pool own(2);
  auto submitted = own.submit([] { return 3; });
  const int c = co_await std::move(submitted);
  auto awaited = h::to_thread(own, [] { return 4; });
  const int d = co_await std::move(awaited);
  co_return a + b + c + d;
}
TEST_P(Memory, IsShortWhileThreadsDoJobs) { check("to_thread", jobs, 10); }

h::task<int> from_outside() {
  auto& rt = h::current_runtime();
  auto job = h::to_thread([&rt] {
    auto f = rt.submit(number(2));
    return f.get();
  });
  const int n = co_await std::move(job);
  co_return n;
}
TEST_P(Memory, IsShortWhileAThreadSubmits) { check("submit", from_outside, 2); }

h::task<int> sum_of(int from, int to) {
  if (to - from <= 1) co_return from;
  const int half = from + (to - from) / 2;
  auto both = h::fork_join(sum_of(from, half), sum_of(half, to));
  const auto [a, b] = co_await std::move(both);
  co_return a + b;
}
h::task<int> wide() {
  std::vector<h::task<int>> many;
  for (int i = 0; i < 600; ++i) many.push_back(i % 100 == 0 ? later(1) : number(1));
  auto all = h::fork_join(std::move(many));
  const auto values = co_await std::move(all);
  int sum = 0;
  for (const int v : values) sum += v;
  co_return sum;
}
h::task<int> wide_on_demand() {
  const auto make = [](std::size_t i) { return i % 100 == 0 ? later(1) : number(1); };
  auto all = h::fork_join(600, make);
  const auto values = co_await std::move(all);
  int sum = 0;
  for (const int v : values) sum += v;
  co_return sum;
}
TEST_P(Memory, IsShortInForkJoin) {
  check("fork_join", [] { return sum_of(0, 16); }, 120);
}
TEST_P(Memory, IsShortInAWideForkJoin) { check("fork_join of 600", wide, 600); }
TEST_P(Memory, IsShortInAWideForkJoinOnDemand) {
  check("fork_join of 600 made on demand", wide_on_demand, 600);
}

h::task<int> for_each_of_some() {
  std::vector<int> items(64, 1);
  std::atomic<int> sum{0};
  auto all = h::parallel_for_each(items, 4, [&](int n) -> h::task<> {
    co_await h::yield_now();
    sum += n;
  });
  co_await std::move(all);
  co_return sum.load();
}
TEST_P(Memory, IsShortInParallelForEach) { check("parallel_for_each", for_each_of_some, 64); }

h::context_var<std::string> variable{"variable"};
h::task<int> contexts() {
  auto token = variable.set(long_text);
  auto child = h::create_task([]() -> h::task<int> {
    const bool same = variable.get() == long_text;
    (void)variable.set("another value, which is long enough not to fit");
    co_await h::yield_now();
    co_return same ? 1 : 0;
  });
  const int n = co_await child;
  auto copy = h::copy_context();
  copy.run([] { (void)variable.set("inside, and long enough to be on the heap too"); });
  const bool kept = variable.get() == long_text;
  variable.reset(token);
  co_return n + (kept ? 1 : 0);
}
TEST_P(Memory, IsShortAroundContexts) { check("context", contexts, 2); }

class manager {
 public:
  h::task<int> enter() {
    co_await h::yield_now();
    co_return 4;
  }
  h::task<> exit(std::exception_ptr) { co_await h::yield_now(); }
};
h::task<int> managed() {
  manager m;
  auto block = h::with(m, [](int n) -> h::task<int> { co_return n; });
  const int n = co_await std::move(block);
  co_return n;
}
TEST_P(Memory, IsShortInsideAManager) { check("with", managed, 4); }

h::task<int> ensured() {
  auto t = h::ensure_future(number(1));
  const int n = co_await t;
  const auto all = h::all_tasks();
  h::current_task().set_name(long_text);
  co_return n + (all.empty() ? 0 : 1) + (h::current_task().get_name() == long_text ? 1 : 0);
}
TEST_P(Memory, IsShortWhileTasksAreLookedAt) { check("all_tasks", ensured, 3); }

}  // namespace
