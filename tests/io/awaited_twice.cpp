// SPDX-License-Identifier: MIT
// Whatever the library gives to be awaited, awaited a second time: it throws usage_error, or it is
// the same operation once more. One table says which, for each of them.
#include "io/runtime.h"

#include <heddle/io/process.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/parallel_for_each.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_many.h>
#include <heddle/sched/with.h>
#include <heddle/sync/barrier.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/event.h>
#include <heddle/sync/latch.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>
#include <heddle/sync/shared_mutex.h>

#include <functional>
#include <string>
#include <vector>

namespace {

using namespace io_test;

enum class second { refused, again };

/// Awaits `of` where it stands, twice.
template <class A>
h::task<second> twice(A& of) {
  (void)co_await of;
  try {
    (void)co_await of;
  } catch (const h::usage_error&) { co_return second::refused; }
  co_return second::again;
}
/// The same as what it yields when it is given away.
template <class A>
h::task<second> twice_moved(A& of) {
  (void)co_await std::move(of);
  try {
    (void)co_await std::move(of);  // on purpose
  } catch (const h::usage_error&) { co_return second::refused; }
  co_return second::again;
}

/// When the calling task waits, and so not before it has suspended.
template <class F>
void later(F f) {
  (void)h::create_task([self = h::current_task(), f]() -> h::task<> {
    auto waiting = support::until_waiting(self);
    co_await std::move(waiting);
    f();
  });
}

h::task<int> one() {
  co_await h::yield_now();
  co_return 1;
}

struct row {
  const char* what;
  second expected;
  std::function<h::task<second>()> run;
};

// ------------------------------------------------------------------- sched

h::task<second> a_task() {
  auto t = one();
  auto both = twice(t);
  const auto how = co_await std::move(both);
  co_return how;
}
h::task<second> a_moved_task() {
  auto t = one();
  auto both = twice_moved(t);
  const auto how = co_await std::move(both);
  co_return how;
}
template <bool Moved>
h::task<second> a_fork() {
  auto join = h::fork_join(one(), one());
  auto both = Moved ? twice_moved(join) : twice(join);
  const auto how = co_await std::move(both);
  co_return how;
}
template <bool Moved>
h::task<second> a_fork_of_many() {
  std::vector<h::task<int>> children;
  children.push_back(one());
  children.push_back(one());
  auto join = h::fork_join(std::move(children));
  auto both = Moved ? twice_moved(join) : twice(join);
  const auto how = co_await std::move(both);
  co_return how;
}
/// The first await throws: the task was cancelled before the fork.
h::task<second> a_fork_that_never_ran() {
  auto work = h::create_task([]() -> h::task<second> {
    auto join = h::fork_join(one(), one());
    (void)h::current_task().cancel();
    try {
      (void)co_await join;
    } catch (const h::cancelled_error&) {}
    try {
      (void)co_await join;
    } catch (const h::usage_error&) { co_return second::refused; }
    co_return second::again;
  });
  co_return co_await work;
}
h::task<second> a_gather() {
  auto all = h::gather(one(), one());
  auto both = twice(all);
  const auto how = co_await std::move(both);
  co_return how;
}
h::task<second> a_gather_of_handles() {
  auto t = h::create_task(one());
  auto all = h::gather(t, t);
  auto both = twice(all);
  const auto how = co_await std::move(both);
  co_return how;
}
h::task<second> a_settled_gather() {
  auto all = h::gather_settled(one(), one());
  auto both = twice(all);
  const auto how = co_await std::move(both);
  co_return how;
}
template <bool Moved>
h::task<second> a_handle() {
  auto t = h::create_task(one());
  auto both = Moved ? twice_moved(t) : twice(t);
  const auto how = co_await std::move(both);
  co_return how;
}
template <bool Moved>
h::task<second> a_future() {
  h::promise<int> p;
  auto f = p.get_future();
  p.set_value(1);
  auto both = Moved ? twice_moved(f) : twice(f);
  const auto how = co_await std::move(both);
  co_return how;
}
template <bool Moved>
h::task<second> a_shield() {
  auto s = h::shield(one());
  auto both = Moved ? twice_moved(s) : twice(s);
  const auto how = co_await std::move(both);
  co_return how;
}
h::task<second> a_sleep() {
  auto s = h::sleep(1ms);
  auto both = twice(s);
  const auto how = co_await std::move(both);
  co_return how;
}
h::task<second> a_sleep_for_nothing() {
  auto s = h::sleep(0ms, std::string("value"));
  auto both = twice(s);
  const auto how = co_await std::move(both);
  co_return how;
}
h::task<second> a_yield() {
  auto y = h::yield_now();
  auto both = twice(y);
  const auto how = co_await std::move(both);
  co_return how;
}
h::async_generator<int> numbers() {
  for (int i = 0; i < 5; ++i) co_yield i;
}
h::task<second> a_generator() {
  auto g = numbers();
  auto next = g.next();
  auto both = twice(next);
  const auto how = co_await std::move(both);
  const int* third = co_await g.next();
  co_return third && *third == 2 ? how : second::refused;
}
h::task<second> a_completion() {
  h::promise<> go;
  auto gone = go.get_future();
  auto member = [gone]() -> h::task<int> {
    co_await gone;
    co_return 1;
  };
  std::vector<h::task_handle<int>> members;
  for (int i = 0; i < 2; ++i) members.push_back(h::create_task(member));
  auto all = h::as_completed(members);
  later([&go] { go.set_value(); });
  auto next = all.next();
  auto both = twice(next);
  const auto how = co_await std::move(both);
  for (auto& m : members) (void)co_await m;
  co_return how;
}

// -------------------------------------------------------------------- sync

h::task<second> a_lock_that_waits() {
  h::mutex m;
  co_await m.lock();
  later([&m] { m.unlock(); });
  auto op = m.lock();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_return how;
}
h::task<second> a_guard_that_is_free() {
  h::mutex m;
  auto op = m.scoped_lock();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_return m.locked() ? second::refused : how;
}
h::task<second> a_shared_lock_that_waits() {
  h::shared_mutex m;
  co_await m.lock();
  later([&m] { m.unlock(); });
  auto op = m.scoped_lock_shared();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_return how;
}
template <bool Waits>
h::task<second> an_acquire() {
  h::semaphore s(Waits ? 0 : 2);
  if (Waits) later([&s] { s.release(2); });
  auto op = s.acquire();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_return how;
}
/// One that was cancelled holds that of its wait, too.
h::task<second> a_cancelled_acquire() {
  h::semaphore s(0);
  auto work = h::create_task([&s]() -> h::task<second> {
    auto op = s.acquire();
    try {
      co_await op;
    } catch (const h::cancelled_error&) { s.release(); }
    try {
      co_await op;
    } catch (const h::usage_error&) { co_return second::refused; }
    co_return second::again;
  });
  auto waits = support::until_waiting(work);
  co_await std::move(waits);
  (void)work.cancel();
  co_return co_await work;
}
template <bool Waits>
h::task<second> an_event() {
  h::event e;
  if (Waits)
    later([&e] { e.set(); });
  else
    e.set();
  auto op = e.wait();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_return how;
}
h::task<second> a_latch_that_waits() {
  h::latch l(1);
  later([&l] { l.count_down(); });
  auto op = l.wait();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_return how;
}
h::task<second> a_barrier_of_one() {
  h::barrier b(1);
  auto op = b.wait();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_return how;
}
h::task<second> a_barrier_that_waits() {
  h::barrier b(2);
  auto partner = h::create_task([&b, self = h::current_task()]() -> h::task<> {
    auto waiting = support::until_waiting(self);
    co_await std::move(waiting);
    (void)co_await b.wait();
  });
  auto op = b.wait();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_await partner;
  co_return how;
}
/// The breakage belongs to the first wait.
h::task<second> a_barrier_that_was_broken() {
  h::barrier b(1);
  b.abort();
  auto op = b.wait();
  bool broken = false;
  try {
    (void)co_await op;
  } catch (const h::broken_barrier_error&) { broken = true; }
  b.reset();
  (void)co_await op;
  co_return broken ? second::again : second::refused;
}
template <bool Waits>
h::task<second> a_get() {
  h::queue<std::string> q;
  if (Waits)
    later([&q] { q.put_nowait("first"); });
  else
    for (const char* item : {"first", "second"}) q.put_nowait(item);
  auto op = q.get();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_return q.size() == (Waits ? 0u : 1u) ? how : second::again;
}
template <bool Waits>
h::task<second> a_put() {
  h::queue<std::string> q(1);
  if (Waits) {
    q.put_nowait("before");
    later([&q] { (void)q.get_nowait(); });
  }
  auto op = q.put("item");
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_return how;
}
h::task<second> a_join_of_a_queue() {
  h::queue<int> q;
  auto op = q.join();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_return how;
}

// ---------------------------------------------------------------------- io

h::task<second> a_fill_that_waits() {
  auto [a, b] = h::memory_pair();
  h::event over;  // the callback is, which uses the writer
  later([&w = a.writer, &over] {
    w.write("some bytes");
    over.set();
  });
  auto op = b.reader.fill();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_await over.wait();
  a.writer.close();
  b.writer.close();
  co_return how;
}
h::task<second> a_drain_of_little() {
  auto [a, b] = h::memory_pair();
  a.writer.write("some bytes");
  auto op = a.writer.drain();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  a.writer.close();
  b.writer.close();
  co_return how;
}
h::task<second> a_close_that_is_waited_for() {
  auto [a, b] = h::memory_pair();
  h::event over;  // as above
  later([&w = a.writer, &over] {
    w.close();
    over.set();
  });
  auto op = a.writer.wait_closed();
  auto both = twice(op);
  const auto how = co_await std::move(both);
  co_await over.wait();
  b.writer.close();
  co_return how;
}

const row rows[] = {
    {"task", second::refused, a_task},
    {"task, moved", second::refused, a_moved_task},
    {"fork_join", second::refused, a_fork<false>},
    {"fork_join, moved", second::refused, a_fork<true>},
    {"fork_join of a vector", second::refused, a_fork_of_many<false>},
    {"fork_join of a vector, moved", second::refused, a_fork_of_many<true>},
    {"fork_join that was cancelled at once", second::refused, a_fork_that_never_ran},
    {"gather of tasks", second::refused, a_gather},
    {"gather of handles", second::again, a_gather_of_handles},
    {"gather_settled of tasks", second::refused, a_settled_gather},
    {"task_handle", second::again, a_handle<false>},
    {"task_handle, moved", second::refused, a_handle<true>},
    {"future", second::again, a_future<false>},
    {"future, moved", second::refused, a_future<true>},
    {"shield", second::again, a_shield<false>},
    {"shield, moved", second::refused, a_shield<true>},
    {"sleep", second::refused, a_sleep},
    {"sleep(0, value)", second::refused, a_sleep_for_nothing},
    {"yield_now", second::again, a_yield},
    {"generator.next", second::again, a_generator},
    {"as_completed.next", second::refused, a_completion},
    {"mutex.lock", second::refused, a_lock_that_waits},
    {"mutex.scoped_lock at once", second::again, a_guard_that_is_free},
    {"shared_mutex.scoped_lock_shared", second::refused, a_shared_lock_that_waits},
    {"semaphore.acquire", second::refused, an_acquire<true>},
    {"semaphore.acquire at once", second::again, an_acquire<false>},
    {"semaphore.acquire, cancelled", second::refused, a_cancelled_acquire},
    {"event.wait", second::refused, an_event<true>},
    {"event.wait at once", second::again, an_event<false>},
    {"latch.wait", second::refused, a_latch_that_waits},
    {"barrier.wait", second::refused, a_barrier_that_waits},
    {"barrier.wait at once", second::again, a_barrier_of_one},
    {"barrier.wait, broken", second::again, a_barrier_that_was_broken},
    {"queue.get", second::refused, a_get<true>},
    {"queue.get at once", second::refused, a_get<false>},
    {"queue.put", second::refused, a_put<true>},
    {"queue.put at once", second::refused, a_put<false>},
    {"queue.join at once", second::again, a_join_of_a_queue},
    {"reader.fill", second::refused, a_fill_that_waits},
    {"writer.drain at once", second::again, a_drain_of_little},
    {"writer.wait_closed", second::refused, a_close_that_is_waited_for},
};

// All other verbs give a task, which has a row.
using h::detail::is_task;
using plain = void (*)();
struct manager {
  h::task<> enter() { co_return; }
  h::task<> exit(std::exception_ptr) { co_return; }
};
static_assert(is_task<decltype(h::to_thread(std::declval<plain>()))> &&
              is_task<decltype(h::to_arena(std::declval<plain>()))>);
static_assert(is_task<decltype(h::wait_for(one(), 1s))> && is_task<decltype(h::timeout(1s, one))> &&
              is_task<decltype(h::timeout_at(std::nullopt, one))>);
static_assert(is_task<decltype(h::with_task_group(std::declval<h::task<> (*)(h::task_group&)>()))>);
static_assert(
    is_task<decltype(h::with(std::declval<manager&>(), std::declval<h::task<> (*)()>()))>);
static_assert(is_task<decltype(h::wait(std::declval<std::vector<h::task_handle<>>>()))>);
static_assert(is_task<decltype(numbers().aclose())> &&
              is_task<decltype(h::for_each(numbers(), std::declval<void (*)(int)>()))>);
static_assert(is_task<decltype(std::declval<h::condition&>().wait())>);
static_assert(is_task<decltype(std::declval<h::stream_reader&>().read())> &&
              is_task<decltype(std::declval<h::stream_reader&>().read_line())> &&
              is_task<decltype(std::declval<h::stream_writer&>().close_within(1s))>);
static_assert(is_task<decltype(std::declval<h::server&>().wait_closed())> &&
              is_task<decltype(std::declval<h::process&>().communicate())>);

class AwaitedTwice : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, AwaitedTwice, testing::ValuesIn(all_setups()), name_of);

TEST_P(AwaitedTwice, EachThrowsAUsageErrorOrDoesTheSameAgain) {
  run([]() -> h::task<> {
    for (const row& r : rows) {
      std::string error;
      second how{};
      try {
        auto work = h::create_task(r.run());
        how = co_await work;
      } catch (...) { error = h::describe(std::current_exception()); }
      EXPECT_EQ(error, "") << r.what;
      EXPECT_TRUE(how == r.expected)
          << r.what << (how == second::again ? ": was done again" : ": was refused");
    }
  });
}

}  // namespace
