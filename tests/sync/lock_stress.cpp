// SPDX-License-Identifier: MIT
// Permits and locks under random cancellations.
#include "sync/stress.h"

#include <heddle/sync/mutex.h>
#include <heddle/sync/semaphore.h>
#include <heddle/sync/shared_mutex.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace stress;

class LockStress : public conserves {};
HEDDLE_AT_LOOPS(LockStress);

// --- primitives with faults ---

/// Permits, handed over. Right but for `Fault`.
enum class fault { none, drops_give_back, stops_at_a_cancelled_waiter, wakes_only_the_first };

template <fault Fault>
class faulty_permits {
  struct acquiring {
    static constexpr const char* name = "faulty permits";
    faulty_permits* s;
    [[nodiscard]] wait_queue& queue() noexcept { return s->waiters_; }
    [[nodiscard]] bool try_now() noexcept { return s->try_acquire(); }
    [[nodiscard]] bool wait_in(waiter& w, task_record& t) noexcept {
      s->waiters_.lock();
      bool waits = false;
      if (s->free_ > 0)
        --s->free_;
      else
        waits = s->waiters_.suspend(w, t);
      s->waiters_.unlock();
      return waits;
    }
    void give_back() noexcept {
      if (Fault != fault::drops_give_back) s->release();
    }
    void result() noexcept {}
  };

 public:
  explicit faulty_permits(int n = 1) noexcept : free_(n) {}
  auto acquire() noexcept { return operation<acquiring>(acquiring{this}); }
  bool try_acquire() noexcept {
    waiters_.lock();
    const bool got = free_ > 0;
    if (got) --free_;
    waiters_.unlock();
    return got;
  }
  void release() noexcept {
    task_record* t = nullptr;
    waiters_.lock();
    if (Fault == fault::stops_at_a_cancelled_waiter && waiters_.first()) {
      waiter* w = waiters_.first();
      waiters_.unlink(*w);
      if (w->task->state().claim() == h::detail::on_wake::schedule) {
        w->given = true;
        t = w->task;
      }
    } else if (waiter* w = waiters_.claim_first()) {
      w->given = true;
      t = w->task;
    } else {
      ++free_;
    }
    waiters_.unlock();
    if (t) schedule(*t);
  }
  [[nodiscard]] std::ptrdiff_t value() noexcept {
    waiters_.lock();
    const auto n = free_;
    waiters_.unlock();
    return n;
  }

 private:
  wait_queue waiters_;
  int free_;
};

// --- permits and locks ---

template <class Permits>
h::task<> use_permits(Permits& s, int permits, std::atomic<int>& inside, std::atomic<int>& too_many,
                      std::atomic<long>& progress, std::atomic<bool>& stop,
                      std::vector<h::task_handle<void>>& all, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < 60 && !stop; ++i) {
    try {
      co_await s.acquire();
    } catch (const h::cancelled_error&) {
      ++progress;
      continue;
    }
    if (++inside > permits) ++too_many;
    if (random() % 2 == 0) co_await stay();
    --inside;
    s.release();
    // Perhaps the one that was just handed a permit, before it runs.
    if (random() % 2 == 0) all[random() % all.size()].cancel();
    ++progress;
  }
}

template <class Permits, int permits = 2>
h::task<verdict> check_permits(std::uint64_t seed, h::duration patience) {
  constexpr int tasks = 16;
  Permits s(permits);
  std::atomic<int> inside{0}, too_many{0};
  std::atomic<long> progress{0};
  std::atomic<bool> stop{false};
  h::promise<> go;
  std::vector<h::task_handle<void>> all;
  auto body = [](h::future<> begin, h::task<> work) -> h::task<> {
    co_await begin;
    co_await work;
  };
  all.reserve(tasks);
  for (int i = 0; i < tasks; ++i)
    all.push_back(
        h::create_task(body(go.get_future(), use_permits(s, permits, inside, too_many, progress,
                                                         stop, all, seed + i))));
  for (auto& t : all) co_await until_waiting(t);
  go.set_value();
  const bool in_time = co_await all_end(all, progress, stop, 200, seed, patience);
  if (!in_time) co_return "somebody hangs";
  if (too_many != 0) co_return "too many inside";
  if (s.value() != permits) co_return "permits: " + std::to_string(s.value());
  co_return "";
}

/// A mutex seen as one permit.
class mutex_as_permits {
 public:
  explicit mutex_as_permits(int) {}
  auto acquire() noexcept { return m_.lock(); }
  void release() { m_.unlock(); }
  [[nodiscard]] std::ptrdiff_t value() const noexcept { return m_.locked() ? 0 : 1; }

 private:
  h::mutex m_;
};

TEST_P(LockStress, ASemaphoreConservesItsPermits) { holds(check_permits<h::semaphore>); }
TEST_P(LockStress, ABoundedSemaphoreConservesItsPermits) {
  holds(check_permits<h::bounded_semaphore>);
}
TEST_P(LockStress, AMutexIsNeverLostAndNeverHeldTwice) {
  holds(check_permits<mutex_as_permits, 1>);
}
TEST_P(LockStress, TheSimplestPermitsAreRightToo) {
  holds(check_permits<faulty_permits<fault::none>>);
}
TEST_P(LockStress, ADroppedGiveBackIsNoticed) {
  is_noticed(check_permits<faulty_permits<fault::drops_give_back>>);
}
TEST_P(LockStress, AReleaseThatStopsAtACancelledWaiterIsNoticed) {
  // The gap between a canceller's claim and its unlink is open only to other loops.
  if (loops() == 1)
    holds(check_permits<faulty_permits<fault::stops_at_a_cancelled_waiter>>);
  else
    is_noticed(check_permits<faulty_permits<fault::stops_at_a_cancelled_waiter>>);
}

// --- shared_mutex ---

/// A shared_mutex whose cancelled writer does not let the readers behind it go on.
class sulking_shared_mutex {
  template <bool Shared>
  struct locking {
    static constexpr const char* name = "sulking shared mutex";
    sulking_shared_mutex* m;
    [[nodiscard]] wait_queue& queue() noexcept { return m->waiters_; }
    [[nodiscard]] bool try_now() noexcept { return false; }
    [[nodiscard]] bool wait_in(waiter& w, task_record& t) noexcept {
      w.wish = Shared;
      m->waiters_.lock();
      bool waits = false;
      if (m->waiters_.empty() && m->free_for(Shared))
        m->take(Shared);
      else
        waits = m->waiters_.suspend(w, t);
      m->waiters_.unlock();
      return waits;
    }
    void give_back() noexcept {
      if (Shared)
        m->unlock_shared();
      else
        m->unlock();
    }
    void result() noexcept {}
  };

 public:
  auto lock() noexcept { return operation<locking<false>>(locking<false>{this}); }
  auto lock_shared() noexcept { return operation<locking<true>>(locking<true>{this}); }
  void unlock() noexcept { leave(false); }
  void unlock_shared() noexcept { leave(true); }

 private:
  bool free_for(bool shared) const noexcept {
    return shared ? !written_ : !written_ && readers_ == 0;
  }
  void take(bool shared) noexcept {
    if (shared)
      ++readers_;
    else
      written_ = true;
  }
  void leave(bool shared) noexcept {
    work_list todo;
    waiters_.lock();
    if (shared)
      --readers_;
    else
      written_ = false;
    while (waiter* w = waiters_.first()) {
      if (!free_for(w->wish)) break;
      waiters_.unlink(*w);
      if (w->task->state().claim() != h::detail::on_wake::schedule) continue;
      take(w->wish);
      w->given = true;
      todo.schedule(*w->task);
    }
    waiters_.unlock();
    todo.settle();
  }

  wait_queue waiters_;
  int readers_ = 0;
  bool written_ = false;
};

/// A reader holds it, a writer waits, readers wait behind. When the writer gives up they must go on
/// although the first reader stays.
template <class SharedMutex>
h::task<verdict> check_shared_mutex(std::uint64_t, h::duration patience) {
  for (int round = 0; round < 20; ++round) {
    SharedMutex m;
    std::atomic<int> inside{0};
    auto read = [](SharedMutex& mm, std::atomic<int>& n) -> h::task<> {
      co_await mm.lock_shared();
      ++n;
      mm.unlock_shared();
    };
    auto write = [](SharedMutex& mm) -> h::task<> {
      co_await mm.lock();
      mm.unlock();
    };
    co_await m.lock_shared();
    auto writer = h::create_task(write(m));
    co_await until_waiting(writer);
    std::vector<h::task_handle<void>> readers;
    for (int i = 0; i < 3; ++i) {
      readers.push_back(h::create_task(read(m, inside)));
      co_await until_waiting(readers.back());
    }
    writer.cancel();
    const auto since = h::clock::now();
    while (inside < 3 && h::clock::now() - since < patience) co_await h::yield_now();
    const bool in_time = inside == 3;
    m.unlock_shared();
    for (auto& t : readers) co_await t;
    (void)co_await ending(writer);
    if (!in_time) co_return "readers wait behind a writer that has given up";
  }
  co_return "";
}

TEST_P(LockStress, ReadersDoNotWaitBehindAWriterThatHasGivenUp) {
  holds(check_shared_mutex<h::shared_mutex>);
}
TEST_P(LockStress, AWriterThatLeavesReadersBehindIsNoticed) {
  is_noticed(check_shared_mutex<sulking_shared_mutex>);
}

}  // namespace
