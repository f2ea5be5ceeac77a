// SPDX-License-Identifier: MIT
// Conservation under random cancellations: what goes in comes out or is left, nobody is let in
// twice, nobody hangs. Every check is also run on a primitive with a planted fault, which it must
// notice.
#include "sync/support.h"

#include <heddle/sync/barrier.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/event.h>
#include <heddle/sync/latch.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>
#include <heddle/sync/shared_mutex.h>
#include <heddle/sync/waiting/operation.h>

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

using namespace support;
using h::detail::operation;
using h::detail::schedule;
using h::detail::task_record;
using h::detail::wait_queue;
using h::detail::waiter;
using h::detail::work_list;

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

/// What a check found wrong; empty: nothing.
using verdict = std::string;

/// How long the tasks may stand still before a check says that they hang: long for what must not,
/// short for what is known to be faulty.
constexpr auto forever = 60s;
constexpr auto soon = 100ms;

/// Waits until `all` have ended, cancelling at random while `cancels` last. False: no progress for
/// `patience`; then they are told to stop and cancelled until they end.
h::task<bool> all_end(std::vector<h::task_handle<void>>& all, std::atomic<long>& progress,
                      std::atomic<bool>& stop, int cancels, std::uint64_t seed,
                      h::duration patience) {
  std::mt19937_64 random(seed);
  const auto ended = [&] {
    for (auto& t : all)
      if (!t.done()) return false;
    return true;
  };
  long seen = -1;
  auto since = h::clock::now();
  bool in_time = true;
  while (!ended()) {
    if (cancels > 0 || !in_time) {
      --cancels;
      all[random() % all.size()].cancel();
    }
    if (progress != seen) {
      seen = progress;
      since = h::clock::now();
    } else if (h::clock::now() - since > patience) {
      in_time = false;
      stop = true;
    }
    co_await h::yield_now();
  }
  co_return in_time;
}

/// Yields, whatever cancellation comes.
h::task<> stay() {
  try {
    co_await h::yield_now();
  } catch (const h::cancelled_error&) {}
}

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

class Stress : public at_loops {
 protected:
  template <class Check>
  verdict run_check(Check check, std::uint64_t seed, h::duration patience) {
    return h::run(check(seed, patience), with());
  }
  template <class Check>
  void holds(Check check) {
    const auto first = test_seed();
    for (std::uint64_t seed = first; seed < first + 5; ++seed)
      EXPECT_EQ(run_check(check, seed, forever), "") << "HEDDLE_TEST_SEED=" << seed;
  }
  template <class Check>
  void is_noticed(Check check) {
    for (std::uint64_t seed = 1; seed <= 1'000; ++seed)
      if (!run_check(check, seed, soon).empty()) return;
    ADD_FAILURE() << "the planted fault was not noticed";
  }
};
HEDDLE_AT_LOOPS(Stress);

TEST_P(Stress, ASemaphoreConservesItsPermits) { holds(check_permits<h::semaphore>); }
TEST_P(Stress, ABoundedSemaphoreConservesItsPermits) { holds(check_permits<h::bounded_semaphore>); }
TEST_P(Stress, AMutexIsNeverLostAndNeverHeldTwice) { holds(check_permits<mutex_as_permits, 1>); }
TEST_P(Stress, TheSimplestPermitsAreRightToo) { holds(check_permits<faulty_permits<fault::none>>); }
TEST_P(Stress, ADroppedGiveBackIsNoticed) {
  is_noticed(check_permits<faulty_permits<fault::drops_give_back>>);
}
TEST_P(Stress, AReleaseThatStopsAtACancelledWaiterIsNoticed) {
  // The gap between a canceller's claim and its unlink is open only to other loops.
  if (loops() == 1)
    holds(check_permits<faulty_permits<fault::stops_at_a_cancelled_waiter>>);
  else
    is_noticed(check_permits<faulty_permits<fault::stops_at_a_cancelled_waiter>>);
}

// --- event ---

template <bool OnlyTheFirst>
class simple_event {
  struct waiting {
    static constexpr const char* name = "simple event";
    simple_event* e;
    [[nodiscard]] wait_queue& queue() noexcept { return e->waiters_; }
    [[nodiscard]] bool try_now() noexcept { return e->set_; }
    [[nodiscard]] bool wait_in(waiter& w, task_record& t) noexcept {
      e->waiters_.lock();
      const bool waits = !e->set_ && e->waiters_.suspend(w, t);
      e->waiters_.unlock();
      return waits;
    }
    void give_back() noexcept {}
    [[nodiscard]] bool result() noexcept { return true; }
  };

 public:
  auto wait() noexcept { return operation<waiting>(waiting{this}); }
  void set() noexcept {
    work_list todo;
    waiters_.lock();
    set_ = true;
    while (waiter* w = waiters_.claim_first()) {
      w->given = true;
      todo.schedule(*w->task);
      if (OnlyTheFirst) break;
    }
    waiters_.unlock();
    todo.settle();
  }

 private:
  std::atomic<bool> set_{false};
  wait_queue waiters_;
};

template <class Event>
h::task<verdict> check_event(std::uint64_t seed, h::duration patience) {
  for (int round = 0; round < 30; ++round) {
    Event e;
    std::atomic<long> progress{0};
    std::atomic<bool> stop{false};
    auto body = [](Event& ee, std::atomic<long>& n) -> h::task<> {
      try {
        co_await ee.wait();
      } catch (const h::cancelled_error&) {}
      ++n;
    };
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 8; ++i) all.push_back(h::create_task(body(e, progress)));
    if (round % 2 == 0) co_await h::yield_now();
    auto setter = [](Event& ee) -> h::task<> {
      ee.set();
      co_return;
    };
    auto s = h::create_task(setter(e));
    const bool in_time = co_await all_end(all, progress, stop, 3,
                                          seed + static_cast<std::uint64_t>(round), patience);
    co_await s;
    if (!in_time) co_return "somebody sleeps on a set event";
  }
  co_return "";
}

TEST_P(Stress, NobodySleepsOnASetEvent) { holds(check_event<h::event>); }
TEST_P(Stress, AnEventThatWakesOnlyTheFirstIsNoticed) {
  is_noticed(check_event<simple_event<true>>);
}

// --- latch ---

/// A latch whose count is read and written back, not exchanged: two who count at once count one.
class forgetful_latch {
 public:
  explicit forgetful_latch(int count) : left_(count) {}
  auto wait() noexcept { return open_.wait(); }
  void count_down() {
    const int left = left_;
    std::this_thread::yield();  // so that it shows on one processor, too
    left_ = left - 1;
    if (left == 1) open_.set();
  }

 private:
  std::atomic<int> left_;
  simple_event<false> open_;
};

/// Tasks and a foreign thread count down while those who wait are cancelled. Nobody goes on before
/// the last count; then everybody does, and the latch may go although the last one who counted has
/// not left it.
template <class Latch>
h::task<verdict> check_latch(std::uint64_t seed, h::duration patience) {
  constexpr int tasks = 4;
  constexpr int by_the_thread = 2;
  for (int round = 0; round < 30; ++round) {
    auto l = std::make_unique<Latch>(tasks + by_the_thread);
    std::atomic<int> counted{0};
    std::atomic<int> went_on{0};
    std::atomic<bool> early{false};
    std::atomic<long> progress{0};
    std::atomic<bool> stop{false};
    auto wait = [&]() -> h::task<> {
      try {
        co_await l->wait();
        ++went_on;
        if (counted < tasks + by_the_thread) early = true;
      } catch (const h::cancelled_error&) {}
      ++progress;
    };
    auto count = [&]() -> h::task<> {
      ++counted;
      l->count_down();
      co_return;
    };
    std::vector<h::task_handle<void>> waiters, counters;
    for (int i = 0; i < 8; ++i) waiters.push_back(h::create_task(wait()));
    if (round % 2 == 0) co_await h::yield_now();
    for (int i = 0; i < tasks; ++i) counters.push_back(h::create_task(count()));
    std::thread foreign([&] {
      for (int i = 0; i < by_the_thread; ++i) {
        ++counted;
        l->count_down();
      }
    });
    const bool in_time = co_await all_end(waiters, progress, stop, 3,
                                          seed + static_cast<std::uint64_t>(round), patience);
    if (in_time && went_on > 0) l.reset();
    foreign.join();
    for (auto& c : counters) co_await c;
    if (early) co_return "somebody went on before the last count";
    if (!in_time) co_return "somebody sleeps on a latch that is counted down";
  }
  co_return "";
}

TEST_P(Stress, ALatchOpensWithTheLastCountForAll) { holds(check_latch<h::latch>); }
TEST_P(Stress, ALatchThatForgetsACountIsNoticed) { is_noticed(check_latch<forgetful_latch>); }

// --- queue ---

/// A queue of int, unbounded, whose getters look again; with DropsWake a getter that is cancelled
/// after it was woken tells nobody.
template <bool DropsWake>
class simple_queue {
  struct looking {
    static constexpr const char* name = "simple queue";
    simple_queue* q;
    [[nodiscard]] wait_queue& queue() noexcept { return q->getters_; }
    [[nodiscard]] bool try_now() noexcept { return false; }
    [[nodiscard]] bool wait_in(waiter& w, task_record& t) noexcept {
      q->getters_.lock();
      const bool waits = q->items_.empty() && q->getters_.suspend(w, t);
      q->getters_.unlock();
      return waits;
    }
    void give_back() noexcept {
      if (!DropsWake) q->wake();
    }
    void result() noexcept {}
  };

 public:
  h::task<> put(int item) {
    getters_.lock();
    items_.push_back(item);
    getters_.unlock();
    wake();
    co_return;
  }
  h::task<int> get() {
    for (;;) {
      auto look = operation<looking>(looking{this});
      co_await look;
      getters_.lock();
      if (items_.empty()) {
        getters_.unlock();
        continue;
      }
      const int item = items_.front();
      items_.pop_front();
      getters_.unlock();
      co_return item;
    }
  }
  [[nodiscard]] std::size_t size() noexcept {
    getters_.lock();
    const auto n = items_.size();
    getters_.unlock();
    return n;
  }

 private:
  void wake() noexcept {
    task_record* t = nullptr;
    getters_.lock();
    if (!items_.empty())
      if (waiter* w = getters_.claim_first()) {
        w->given = true;
        t = w->task;
      }
    getters_.unlock();
    if (t) schedule(*t);
  }

  wait_queue getters_;
  std::deque<int> items_;
};

/// Getters that want one item each, and some of them are cancelled just when they may have been
/// woken. A cancelled one is gone, so only the wake that it passes on lets another have the item:
/// none may be left while somebody waits.
template <class Queue>
h::task<verdict> check_queue(std::uint64_t seed, h::duration patience) {
  constexpr int getters = 8, items = 6;
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20; ++round) {
    Queue q;
    std::atomic<int> got{0};
    std::atomic<long> sum{0}, progress{0};
    auto get = [](Queue& qq, std::atomic<int>& n, std::atomic<long>& s) -> h::task<> {
      s += co_await qq.get();
      ++n;
    };
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < getters; ++i) {
      all.push_back(h::create_task(get(q, got, sum)));
      co_await until_waiting(all.back());
    }
    long put = 0;
    for (int i = 1; i <= items; ++i) {
      co_await q.put(i);
      put += i;
      if (random() % 2 == 0)
        all[static_cast<std::size_t>(i - 1)]
            .cancel();  // the one that was just woken, if it has not run yet
      if (random() % 4 == 0) co_await h::yield_now();
    }
    const auto waiting = [&] {
      int n = 0;
      for (auto& t : all) n += t.done() ? 0 : 1;
      return n;
    };
    const auto since = h::clock::now();
    while (q.size() > 0 && waiting() > 0 && h::clock::now() - since < patience)
      co_await h::yield_now();
    const bool in_time = q.size() == 0 || waiting() == 0;
    std::atomic<bool> stop{false};
    (void)co_await all_end(all, progress, stop, 1 << 30, seed, forever);
    if (!in_time) co_return "somebody sleeps beside an item";
    for (int left = static_cast<int>(q.size()); left > 0; --left) {
      sum += co_await q.get();
      ++got;
    }
    if (got != items || sum != put) co_return "items: " + std::to_string(got);
  }
  co_return "";
}

TEST_P(Stress, AQueueLosesNoItemAndNobodySleepsBesideOne) { holds(check_queue<h::queue<int>>); }
TEST_P(Stress, ALifoQueueLosesNoItemAndNobodySleepsBesideOne) {
  holds(check_queue<h::lifo_queue<int>>);
}
TEST_P(Stress, APriorityQueueLosesNoItemAndNobodySleepsBesideOne) {
  holds(check_queue<h::priority_queue<int>>);
}
TEST_P(Stress, TheSimplestQueueIsRightToo) { holds(check_queue<simple_queue<false>>); }
TEST_P(Stress, ADroppedWakeOfACancelledGetterIsNoticed) {
  is_noticed(check_queue<simple_queue<true>>);
}

/// Bounded, with putters and getters cancelled alike: what was put and not got is in the queue.
h::task<verdict> check_bounded_queue(std::uint64_t seed, h::duration patience) {
  h::queue<int> q(2);
  std::atomic<long> in{0}, out{0}, count_in{0}, count_out{0}, progress{0};
  std::atomic<bool> stop{false};
  auto put = [](h::queue<int>& qq, std::atomic<long>& s, std::atomic<long>& n, std::atomic<long>& p,
                std::atomic<bool>& end, int who) -> h::task<> {
    for (int i = 1; i <= 60 && !end; ++i) try {
        co_await qq.put(who * 1000 + i);
        s += who * 1000 + i;
        ++n;
        ++p;
      } catch (const h::cancelled_error&) { ++p; }
  };
  auto get = [](h::queue<int>& qq, std::atomic<long>& s, std::atomic<long>& n, std::atomic<long>& p,
                std::atomic<bool>& end) -> h::task<> {
    while (!end) try {
        s += co_await qq.get();
        ++n;
        ++p;
      } catch (const h::cancelled_error&) { ++p; }
  };
  std::vector<h::task_handle<void>> makers, takers;
  for (int i = 0; i < 6; ++i)
    takers.push_back(h::create_task(get(q, out, count_out, progress, stop)));
  for (int i = 0; i < 6; ++i)
    makers.push_back(h::create_task(put(q, in, count_in, progress, stop, i)));
  for (auto& t : takers) co_await until_waiting(t);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 100; ++i) {
    takers[random() % takers.size()].cancel();
    co_await h::yield_now();
  }
  const bool in_time = co_await all_end(makers, progress, stop, 100, seed, patience);
  stop = true;
  (void)co_await all_end(takers, progress, stop, 1 << 30, seed, forever);
  if (!in_time) co_return "somebody hangs";
  while (auto left = q.try_get()) {
    out += *left;
    ++count_out;
  }
  if (count_in != count_out || in != out)
    co_return "put " + std::to_string(count_in) + ", got " + std::to_string(count_out);
  co_return "";
}

TEST_P(Stress, ABoundedQueueConservesItemsWhenPuttersAreCancelledToo) {
  holds(check_bounded_queue);
}

// --- condition ---

/// A condition whose waiters keep a notification to themselves when they are cancelled.
class selfish_condition {
  struct waiting {
    static constexpr const char* name = "selfish condition";
    selfish_condition* c;
    [[nodiscard]] wait_queue& queue() noexcept { return c->waiters_; }
    [[nodiscard]] bool try_now() noexcept { return false; }
    [[nodiscard]] bool wait_in(waiter& w, task_record& t) noexcept {
      c->waiters_.lock();
      const bool waits = c->waiters_.suspend(w, t);
      c->waiters_.unlock();
      c->m_.unlock();
      return waits;
    }
    void give_back() noexcept {}
    void result() noexcept {}
  };

 public:
  auto scoped_lock() noexcept { return m_.scoped_lock(); }
  h::task<bool> wait() {
    std::exception_ptr error;
    try {
      auto mine = operation<waiting>(waiting{this});
      co_await mine;
    } catch (const h::cancelled_error&) { error = std::current_exception(); }
    for (bool locked = false; !locked;) {
      auto relock = m_.lock();
      try {
        co_await relock;
        locked = true;
      } catch (const h::cancelled_error&) { error = std::current_exception(); }
    }
    if (error) std::rethrow_exception(error);
    co_return true;
  }
  void notify() noexcept {
    task_record* t = nullptr;
    waiters_.lock();
    if (waiter* w = waiters_.claim_first()) {
      w->given = true;
      t = w->task;
    }
    waiters_.unlock();
    if (t) schedule(*t);
  }

 private:
  h::mutex m_;
  wait_queue waiters_;
};

/// Tokens under a condition, each announced by one notify, for waiters that want one each; some are
/// cancelled just when they may have been notified. No token may lie there while somebody waits.
template <class Condition>
h::task<verdict> check_condition(std::uint64_t seed, h::duration patience) {
  constexpr int waiters = 8, tokens = 6;
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20; ++round) {
    Condition c;
    std::atomic<int> there{0};  // changed with the lock held, looked at without
    std::atomic<long> progress{0};
    auto use = [](Condition& cc, std::atomic<int>& n) -> h::task<> {
      const auto guard = co_await cc.scoped_lock();
      while (n == 0) {
        auto wait = cc.wait();
        co_await std::move(wait);
      }
      --n;
    };
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < waiters; ++i) {
      all.push_back(h::create_task(use(c, there)));
      co_await until_waiting(all.back());
    }
    for (int i = 0; i < tokens; ++i) {
      {
        const auto guard = co_await c.scoped_lock();
        ++there;
        c.notify();
      }
      if (random() % 2 == 0)
        all[static_cast<std::size_t>(i)]
            .cancel();  // the one that was just notified, if it has not run yet
      if (random() % 4 == 0) co_await h::yield_now();
    }
    const auto waiting = [&] {
      int n = 0;
      for (auto& t : all) n += t.done() ? 0 : 1;
      return n;
    };
    const auto since = h::clock::now();
    while (there > 0 && waiting() > 0 && h::clock::now() - since < patience)
      co_await h::yield_now();
    const bool in_time = there == 0 || waiting() == 0;
    std::atomic<bool> stop{false};
    (void)co_await all_end(all, progress, stop, 1 << 30, seed, forever);
    if (!in_time) co_return "somebody waits beside a token";
  }
  co_return "";
}

TEST_P(Stress, ANotificationIsNeverLostWithACancelledWaiter) {
  holds(check_condition<h::condition>);
}
TEST_P(Stress, AConditionThatDropsANotificationIsNoticed) {
  is_noticed(check_condition<selfish_condition>);
}

// --- barrier ---

/// A barrier that goes on counting who was cancelled.
class counting_barrier {
  struct waiting {
    static constexpr const char* name = "counting barrier";
    counting_barrier* b;
    [[nodiscard]] wait_queue& queue() noexcept { return b->waiters_; }
    [[nodiscard]] bool try_now() noexcept { return false; }
    [[nodiscard]] bool wait_in(waiter& w, task_record& t) noexcept {
      work_list todo;
      b->waiters_.lock();
      bool waits = false;
      if (++b->here_ < b->parties_) {
        waits = b->waiters_.suspend(w, t);
      } else {
        b->here_ = 0;
        while (waiter* other = b->waiters_.claim_first()) {
          other->given = true;
          todo.schedule(*other->task);
        }
      }
      b->waiters_.unlock();
      todo.settle();
      return waits;
    }
    void give_back() noexcept {}
    void result() noexcept {}
  };

 public:
  explicit counting_barrier(int parties) noexcept : parties_(parties) {}
  auto wait() noexcept { return operation<waiting>(waiting{this}); }

 private:
  wait_queue waiters_;
  const int parties_;
  int here_ = 0;
};

/// Every task counts itself before it waits. A round of n may only pass when n have come and not
/// left; so passes never exceed arrivals by rounds: passes are always a multiple of the parties but
/// for those cancelled after their round was complete.
template <class Barrier>
h::task<verdict> check_barrier(std::uint64_t seed, h::duration) {
  constexpr int parties = 3;
  for (int round = 0; round < 40; ++round) {
    Barrier b(parties);
    std::atomic<int> passed{0};
    auto body = [](Barrier& bb, std::atomic<int>& n) -> h::task<> {
      co_await bb.wait();
      ++n;
    };
    // Two come, one of them is cancelled and has left; one more comes: nobody may pass.
    auto first = h::create_task(body(b, passed));
    auto second = h::create_task(body(b, passed));
    co_await until_waiting(first);
    co_await until_waiting(second);
    ((seed + static_cast<std::uint64_t>(round)) % 2 == 0 ? first : second).cancel();
    auto third = h::create_task(body(b, passed));
    co_await until([&] {
      return third.done() ||
             h::detail::word::state(third.record()->state().load()) == h::detail::task_state::leaf;
    });
    const bool early = third.done();
    if (!early) {
      auto last = h::create_task(body(b, passed));
      (void)co_await ending(last);
    }
    first.cancel();
    second.cancel();
    (void)co_await ending(first);
    (void)co_await ending(second);
    third.cancel();
    (void)co_await ending(third);
    if (early) co_return "a round passed that was not complete";
  }
  co_return "";
}

TEST_P(Stress, ABarrierDoesNotCountWhoWasCancelled) { holds(check_barrier<h::barrier>); }
TEST_P(Stress, ABarrierThatCountsWhoWasCancelledIsNoticed) {
  is_noticed(check_barrier<counting_barrier>);
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

TEST_P(Stress, ReadersDoNotWaitBehindAWriterThatHasGivenUp) {
  holds(check_shared_mutex<h::shared_mutex>);
}
TEST_P(Stress, AWriterThatLeavesReadersBehindIsNoticed) {
  is_noticed(check_shared_mutex<sulking_shared_mutex>);
}

}  // namespace
