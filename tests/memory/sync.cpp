// SPDX-License-Identifier: MIT
// Memory runs out anywhere: each primitive of sync, with each of its allocations failing.
#include "memory/shortage.h"

#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sync/barrier.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/event.h>
#include <heddle/sync/latch.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>
#include <heddle/sync/shared_mutex.h>

#include <support/loops.h>

#include <atomic>
#include <string>

namespace {

using namespace memory;

class MemoryOfPrimitives : public support::at_loops {
 protected:
  static void check(const char* program, const std::function<h::task<int>()>& f, int expected) {
    survives({program, GetParam(), h::reactor_kind::epoll}, f, expected);
  }
};
HEDDLE_AT_THESE_LOOPS(MemoryOfPrimitives, 1u, 2u);

const char* const long_text = "a text that is longer than what a std::string keeps in itself";

/// Awaits both and throws the first error; with a group, so that neither is left behind.
template <class F, class G>
h::task<> both(F f, G g) {
  auto body = [&](h::task_group& group) -> h::task<> {
    group.create_task(f);
    group.create_task(g);
    co_return;
  };
  auto group = h::with_task_group(body);
  co_await std::move(group);
}

template <class Queue>
h::task<int> passes_items() {
  Queue q(2);
  int sum = 0;
  auto puts = [&q]() -> h::task<> {
    for (int i = 0; i < 6; ++i) co_await q.put(std::string(long_text));
    co_await q.join();
    q.shutdown();
  };
  auto gets = [&q, &sum]() -> h::task<> {
    for (int i = 0; i < 6; ++i) {
      const std::string item = co_await q.get();
      q.task_done();
      sum += item == long_text ? 1 : 0;
    }
  };
  auto all = both(puts, gets);
  co_await std::move(all);
  co_return sum;
}
TEST_P(MemoryOfPrimitives, IsShortInAQueue) {
  check("queue", passes_items<h::queue<std::string>>, 6);
}
TEST_P(MemoryOfPrimitives, IsShortInALifoQueue) {
  check("lifo_queue", passes_items<h::lifo_queue<std::string>>, 6);
}
TEST_P(MemoryOfPrimitives, IsShortInAPriorityQueue) {
  check("priority_queue", passes_items<h::priority_queue<std::string>>, 6);
}

h::task<int> grows_a_queue() {
  h::queue<int> q;
  for (int i = 0; i < 2000; ++i) co_await q.put(i);
  int n = 0;
  while (q.try_get()) ++n;
  co_return n;
}
TEST_P(MemoryOfPrimitives, IsShortWhileAQueueGrows) { check("queue of 2000", grows_a_queue, 2000); }

h::task<int> locks() {
  h::mutex m;
  h::shared_mutex s;
  h::semaphore permits(1);
  int sum = 0;
  auto add = [&]() -> h::task<> {
    for (int i = 0; i < 3; ++i) {
      auto held = co_await m.scoped_lock();
      auto permit = co_await permits.scoped_acquire();
      auto shared = co_await s.scoped_lock_shared();
      const int before = sum;
      co_await h::yield_now();
      sum = before + 1;
    }
  };
  auto all = both(add, add);
  co_await std::move(all);
  co_return sum;
}
TEST_P(MemoryOfPrimitives, IsShortAroundLocks) { check("mutex, semaphore", locks, 6); }

h::task<int> meets() {
  h::event ready;
  h::barrier two(2);
  h::latch done(2);
  h::condition changed;
  bool said = false;
  int sum = 0;
  auto waits = [&]() -> h::task<> {
    co_await ready.wait();
    (void)co_await two.wait();
    {
      auto held = co_await changed.scoped_lock();
      auto until = changed.wait_for([&said] { return said; });
      (void)co_await std::move(until);
      ++sum;
    }
    done.count_down();
  };
  auto tells = [&]() -> h::task<> {
    ready.set();
    (void)co_await two.wait();
    {
      auto held = co_await changed.scoped_lock();
      said = true;
      ++sum;
      changed.notify_all();
    }
    done.count_down();
    co_await done.wait();
  };
  auto all = both(waits, tells);
  co_await std::move(all);
  co_return sum;
}
TEST_P(MemoryOfPrimitives, IsShortWhileTasksMeet) { check("event, barrier, condition", meets, 2); }

h::task<int> shuts_a_queue_down() {
  h::queue<std::string> q(1);
  int ended = 0;
  auto puts = [&]() -> h::task<> {
    try {
      for (;;) co_await q.put(std::string(long_text));
    } catch (const h::queue_shut_down&) { ended += 1; }
  };
  auto ends = [&]() -> h::task<> {
    std::string item = co_await q.get();
    q.task_done();
    q.shutdown(true);
    try {
      item = co_await q.get();
    } catch (const h::queue_shut_down&) { ended += 2; }
    co_await q.join();
  };
  auto all = both(puts, ends);
  co_await std::move(all);
  co_return ended;
}
TEST_P(MemoryOfPrimitives, IsShortWhileAQueueIsShutDown) {
  // One loop, so that `ended` needs no lock.
  survives({"queue.shutdown", 1, h::reactor_kind::epoll}, shuts_a_queue_down, 3);
}

/// The primitives live in the frame, so the tasks that wait there end before it does.
h::task<int> gives_up() {
  h::mutex m;
  h::shared_mutex s;
  h::bounded_semaphore permits(1);
  h::barrier three(3);
  h::event never;
  co_await m.lock();
  co_await s.lock();
  co_await permits.acquire();
  auto body = [&](h::task_group& g) -> h::task<> {
    g.create_task([&]() -> h::task<> { co_await m.lock(); });
    g.create_task([&]() -> h::task<> { co_await s.lock_shared(); });
    g.create_task([&]() -> h::task<> { co_await permits.acquire(); });
    g.create_task([&]() -> h::task<> { (void)co_await three.wait(); });
    g.create_task([&]() -> h::task<> { co_await never.wait(); });
    co_await h::yield_now();
    g.cancel();
  };
  auto group = h::with_task_group(body);
  co_await std::move(group);
  m.unlock();
  s.unlock();
  permits.release();
  three.abort();
  co_return (m.try_lock() && s.try_lock() && permits.try_acquire() ? 1 : 0) +
      (three.broken() ? 2 : 0);
}
TEST_P(MemoryOfPrimitives, IsShortWhileWaitersGiveUp) { check("cancelled waiters", gives_up, 3); }

}  // namespace
