// SPDX-License-Identifier: MIT
// The primitives under simulation: cancelling against waking, ten thousand seeds each; and faults
// that must be found.
#include "support/simulated.h"

#include <heddle/core/base/thread_state.h>
#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>
#include <heddle/sync/shared_mutex.h>
#include <heddle/sync/waiting/operation.h>

#include <deque>
#include <vector>

namespace h = heddle;
namespace t = heddle::testing;
namespace d = heddle::detail;
using namespace std::chrono_literals;
using simulated::require;
using simulated::seeds;

namespace {

/// Where a fault is planted, errors that nobody retrieves are no news.
const h::options quiet{.loops = 2, .exception_handler = [](const h::error_context&) {}};

/// Some turns for the others, as many as the seed says.
h::task<> dawdle(std::uint32_t most) {
  for (auto n = t::choose(most); n > 0; --n) co_await h::yield_now();
}

/// Waits for all; cancelled ones count as ended.
h::task<> all_ended(std::vector<h::task_handle<void>>& tasks) {
  for (auto& one : tasks) {
    try {
      co_await one;
    } catch (const h::cancelled_error&) {}
  }
}

// ------------------------------------------------------------------- mutex

struct shared_counter {
  bool inside = false;
  int entered = 0;
};

template <class Mutex>
h::task<> enter(Mutex& m, shared_counter& c) {
  co_await m.lock();
  require(!c.inside, "two tasks hold the mutex");
  c.inside = true;
  co_await dawdle(3);
  c.inside = false;
  ++c.entered;
  t::overtaking_point();
  m.unlock();
}

/// A mutex on core's wait queue. `forgets`: a task that is cancelled after the lock was handed to
/// it keeps it for ever.
template <bool forgets>
class small_mutex {
  struct locking {
    static constexpr const char* name = "small mutex";
    small_mutex* m;
    [[nodiscard]] d::wait_queue& queue() noexcept { return m->waiters_; }
    [[nodiscard]] bool try_now() noexcept {
      m->waiters_.lock();
      const bool got = !m->held_;
      m->held_ = true;
      m->waiters_.unlock();
      return got;
    }
    [[nodiscard]] bool wait_in(d::waiter& w, d::task_record& task) noexcept {
      m->waiters_.lock();
      const bool waits = m->held_ && m->waiters_.suspend(w, task);
      if (!waits && !w.refused) m->held_ = true;
      m->waiters_.unlock();
      return waits;
    }
    void give_back() noexcept {
      if (!forgets) m->unlock();
    }
    void result() noexcept {}
  };

 public:
  auto lock() noexcept { return d::operation<locking>(locking{this}); }
  void unlock() noexcept {
    waiters_.lock();
    d::waiter* next = waiters_.claim_first();
    if (next)
      next->given = true;
    else
      held_ = false;
    d::task_record* task = next ? next->task : nullptr;
    waiters_.unlock();
    if (!task) return;
    t::overtaking_point();
    d::schedule(*task);
  }

 private:
  bool held_ = false;
  d::wait_queue waiters_;
};

/// A task is cancelled only while it waits, or has just been given the lock, and not while it holds
/// it.
template <class Mutex>
h::task<> one_waiter_cancelled() {
  Mutex m;
  std::vector<h::task_handle<void>> tasks;
  int entered = 0;
  for (int i = 0; i < 3; ++i)
    tasks.push_back(h::create_task([&m, &entered, i]() -> h::task<> {
      if (i != 0) co_await dawdle(2);
      co_await m.lock();
      if (i == 0) co_await dawdle(4);
      ++entered;
      t::overtaking_point();
      m.unlock();
    }));
  co_await dawdle(8);
  tasks[1].cancel();
  co_await all_ended(tasks);
  require(entered >= 2, "somebody never entered");
  co_await m.lock();  // it is free at the end
  m.unlock();
}

TEST(SimulatedMutex, WaitersAreCancelledWhileTheLockIsHandedOver) {
  NO_SEED_FAILS(t::explore(1, seeds(10'000), {.loops = 3}, one_waiter_cancelled<h::mutex>));
}

TEST(SimulatedMutex, NeverTwoInside) {
  NO_SEED_FAILS(t::explore(1, seeds(10'000), {.loops = 3}, []() -> h::task<> {
    h::mutex m;
    shared_counter c;
    std::vector<h::task_handle<void>> tasks;
    for (int i = 0; i < 4; ++i)
      tasks.push_back(h::create_task([&m, &c]() -> h::task<> { co_await enter(m, c); }));
    co_await all_ended(tasks);
    require(c.entered == 4, "somebody never entered");
  }));
}

TEST(SimulatedMutex, LockWithATimeout) {
  int late = 0, in_time = 0;
  NO_SEED_FAILS(t::explore(1, seeds(10'000), {.loops = 2}, [&]() -> h::task<> {
    h::mutex m;
    const auto when = h::clock::now() + 10ms;
    co_await m.lock();
    auto waits = h::create_task([&]() -> h::task<> {
      try {
        auto locked = h::wait_for([](h::mutex& one) -> h::task<> { co_await one.lock(); }(m),
                                  when - h::clock::now());
        co_await std::move(locked);
        ++in_time;
        m.unlock();
      } catch (const h::timeout_error&) { ++late; }
    });
    const auto early = t::choose(2) * 3us;
    co_await h::sleep(when - h::clock::now() - early);
    m.unlock();
    co_await waits;
    require(!m.locked(), "it stayed locked");
  }));
  EXPECT_GT(late, 0);
  EXPECT_GT(in_time, 0);
}

TEST(PlantedFaults, AMutexThatForgetsACancelledWaiterIsFound) {
  const auto found = t::explore(1, 1000, quiet, one_waiter_cancelled<small_mutex<true>>);
  ASSERT_TRUE(found.has_value());
  EXPECT_NE(found->what.find("small mutex"), std::string::npos) << found->what;
  NO_SEED_FAILS(
      t::explore(1, seeds(10'000), {.loops = 2}, one_waiter_cancelled<small_mutex<false>>));
}

// ------------------------------------------------------------------- queue

/// A queue whose getters are woken to look. `drops`: a getter that is cancelled after it was woken
/// does not wake the next one.
template <bool drops>
class small_queue {
  struct looking final : d::queue_waiter {
    explicit looking(small_queue& q) noexcept : queue_waiter(q.getters_), queue_of(&q) {}
    const char* name() const noexcept override { return "small queue"; }
    static bool await_ready() noexcept { return false; }
    template <d::heddle_promise P>
    bool await_suspend(std::coroutine_handle<P> h) noexcept {
      auto& q = *queue_of;
      d::task_record& task_here = h.promise().suspending(h);
      q.getters_.lock();
      const bool waits = q.items_.empty() && q.getters_.suspend(*this, task_here);
      q.getters_.unlock();
      return waits;
    }
    void await_resume() {
      if (!d::cancelled_at_resume(*this)) return;
      if (given && !drops) queue_of->wake_one();
      d::throw_cancelled(*task);
    }
    small_queue* queue_of;
  };

 public:
  void put(int item) {
    getters_.lock();
    items_.push_back(item);
    getters_.unlock();
    t::overtaking_point();
    wake_one();
  }
  h::task<int> get() {
    for (;;) {
      looking look(*this);
      co_await look;
      getters_.lock();
      if (!items_.empty()) {
        const int item = items_.front();
        items_.pop_front();
        getters_.unlock();
        co_return item;
      }
      getters_.unlock();
    }
  }

 private:
  void wake_one() noexcept {
    getters_.lock();
    d::waiter* w = items_.empty() ? nullptr : getters_.claim_first();
    if (w) w->given = true;
    d::task_record* task = w ? w->task : nullptr;
    getters_.unlock();
    if (task) d::schedule(*task);
  }

  std::deque<int> items_;
  d::wait_queue getters_;
};

/// Two getters, one is cancelled; two items, so that the other one always gets one.
template <class Queue>
h::task<> one_getter_cancelled() {
  Queue q;
  int got = 0;
  std::vector<h::task_handle<void>> getters;
  for (int i = 0; i < 2; ++i)
    getters.push_back(h::create_task([&q, &got]() -> h::task<> {
      (void)co_await q.get();
      ++got;
    }));
  auto puts = h::create_task([&q]() -> h::task<> {
    co_await dawdle(4);
    if constexpr (requires { q.put_nowait(1); })
      q.put_nowait(1);
    else
      q.put(1);
  });
  co_await dawdle(6);
  getters[0].cancel();
  // The getter that is left gets the item, unless the cancelled one had it already.
  co_await puts;
  try {
    co_await getters[0];
  } catch (const h::cancelled_error&) {}  // also if it got it, and was cancelled before its end
  if (got == 1) getters[1].cancel();
  co_await all_ended(getters);
  require(got == 1, "the item was lost, or got twice");
}

TEST(SimulatedQueue, AGetterIsCancelledWhileItIsWoken) {
  NO_SEED_FAILS(t::explore(1, seeds(10'000), {.loops = 3}, one_getter_cancelled<h::queue<int>>));
}

TEST(PlantedFaults, AQueueThatDropsTheWakeOfACancelledGetterIsFound) {
  const auto found = t::explore(1, 1000, quiet, one_getter_cancelled<small_queue<true>>);
  ASSERT_TRUE(found.has_value());
  EXPECT_NE(found->what.find("small queue"), std::string::npos) << found->what;
  NO_SEED_FAILS(
      t::explore(1, seeds(10'000), {.loops = 2}, one_getter_cancelled<small_queue<false>>));
}

TEST(SimulatedQueue, WhatIsPutIsGotOnceThoughPuttersAndGettersAreCancelled) {
  NO_SEED_FAILS(t::explore(1, seeds(10'000), {.loops = 3}, []() -> h::task<> {
    h::queue<int> q(1);
    int put = 0, got = 0;
    std::vector<h::task_handle<void>> tasks;
    for (int i = 0; i < 3; ++i) {
      tasks.push_back(h::create_task([&q, &put]() -> h::task<> {
        co_await q.put(1);
        ++put;
      }));
      tasks.push_back(h::create_task([&q, &got]() -> h::task<> {
        (void)co_await q.get();
        ++got;
      }));
    }
    co_await dawdle(6);
    tasks[t::choose(6)].cancel();
    co_await dawdle(4);
    tasks[t::choose(6)].cancel();
    co_await h::sleep(1s);  // all that can happen has happened
    require(put - got == static_cast<int>(q.size()), "items were lost or made");
    for (auto& one : tasks) one.cancel();
    co_await all_ended(tasks);
    while (q.try_get()) {}
    q.put_nowait(1);  // it works on
    require(co_await q.get() == 1, "another item");
  }));
}

// --------------------------------------------------------------- the others

TEST(SimulatedSemaphore, PermitsAreNeitherLostNorMade) {
  NO_SEED_FAILS(t::explore(1, seeds(10'000), {.loops = 3}, []() -> h::task<> {
    h::semaphore s(2);
    int inside = 0;
    std::vector<h::task_handle<void>> tasks;
    for (int i = 0; i < 5; ++i)
      tasks.push_back(h::create_task([&s, &inside]() -> h::task<> {
        auto permit = co_await s.scoped_acquire();
        require(++inside <= 2, "three inside");
        try {
          co_await dawdle(3);
        } catch (...) {
          --inside;
          throw;
        }
        --inside;
      }));
    co_await dawdle(8);
    tasks[t::choose(5)].cancel();
    tasks[t::choose(5)].cancel();
    co_await all_ended(tasks);
    co_await s.acquire();
    co_await s.acquire();
    require(s.locked(), "a permit too many");
    s.release();
    s.release();
  }));
}

TEST(SimulatedCondition, ACancelledWaiterPassesItsNotificationOn) {
  NO_SEED_FAILS(t::explore(1, seeds(10'000), {.loops = 3}, []() -> h::task<> {
    h::condition c;
    int ready = 0, seen = 0;
    std::vector<h::task_handle<void>> tasks;
    for (int i = 0; i < 2; ++i)
      tasks.push_back(h::create_task([&]() -> h::task<> {
        auto guard = co_await c.scoped_lock();
        while (ready == 0) co_await c.wait();
        --ready;
        ++seen;
      }));
    co_await dawdle(6);
    {
      auto guard = co_await c.scoped_lock();
      ++ready;
      c.notify(1);
    }
    co_await dawdle(3);
    tasks[0].cancel();
    try {
      co_await tasks[0];
    } catch (const h::cancelled_error&) {}  // also if it saw it, and was cancelled before its end
    if (seen == 1) tasks[1].cancel();
    co_await all_ended(tasks);
    require(seen == 1, "the notification was lost");
  }));
}

TEST(SimulatedEvent, AllWhoWaitGoOn) {
  NO_SEED_FAILS(t::explore(1, seeds(10'000), {.loops = 3}, []() -> h::task<> {
    h::event e;
    int went_on = 0, cancelled = 0;
    std::vector<h::task_handle<void>> tasks;
    for (int i = 0; i < 4; ++i)
      tasks.push_back(h::create_task([&]() -> h::task<> {
        try {
          co_await e.wait();
          ++went_on;
        } catch (const h::cancelled_error&) { ++cancelled; }
      }));
    auto sets = h::create_task([&e]() -> h::task<> {
      co_await dawdle(5);
      e.set();
    });
    co_await dawdle(5);
    tasks[1].cancel();
    co_await sets;
    co_await all_ended(tasks);
    require(went_on + cancelled >= 3 && went_on >= 3, "somebody stayed");
  }));
}

TEST(SimulatedSharedMutex, ReadersOrOneWriter) {
  NO_SEED_FAILS(t::explore(1, seeds(10'000), {.loops = 3}, []() -> h::task<> {
    h::shared_mutex m;
    int readers = 0, writers = 0;
    std::vector<h::task_handle<void>> tasks;
    for (int i = 0; i < 6; ++i)
      tasks.push_back(h::create_task([&, i]() -> h::task<> {
        if (i % 3 == 0) {
          auto guard = co_await m.scoped_lock();
          require(++writers == 1 && readers == 0, "a writer is not alone");
          t::overtaking_point();
          --writers;
        } else {
          auto guard = co_await m.scoped_lock_shared();
          ++readers;
          require(writers == 0, "a reader beside a writer");
          t::overtaking_point();
          --readers;
        }
      }));
    co_await dawdle(4);
    tasks[t::choose(6)].cancel();
    co_await all_ended(tasks);
    auto guard = co_await m.scoped_lock();
  }));
}

}  // namespace
