// SPDX-License-Identifier: MIT
// Events, latches, conditions and barriers under random cancellations.
#include "sync/stress.h"

#include <heddle/sync/barrier.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/event.h>
#include <heddle/sync/latch.h>
#include <heddle/sync/mutex.h>

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

class EventStress : public conserves {};
HEDDLE_AT_LOOPS(EventStress);

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

TEST_P(EventStress, NobodySleepsOnASetEvent) { holds(check_event<h::event>); }
TEST_P(EventStress, AnEventThatWakesOnlyTheFirstIsNoticed) {
  is_noticed(check_event<simple_event<true>>);
}

// --- latch ---

/// A latch whose count is read and written back, not exchanged. Two tasks that count at once count
/// one.
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

/// Tasks and a foreign thread count down while waiting tasks are cancelled. No task goes on before
/// the last count; then all do. The latch may be destroyed while the last count_down() is inside.
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

TEST_P(EventStress, ALatchOpensWithTheLastCountForAll) { holds(check_latch<h::latch>); }
TEST_P(EventStress, ALatchThatForgetsACountIsNoticed) { is_noticed(check_latch<forgetful_latch>); }

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

TEST_P(EventStress, ANotificationIsNeverLostWithACancelledWaiter) {
  holds(check_condition<h::condition>);
}
TEST_P(EventStress, AConditionThatDropsANotificationIsNoticed) {
  is_noticed(check_condition<selfish_condition>);
}

// --- barrier ---

/// A barrier that goes on counting a task that was cancelled.
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
/// left. So the passes are a multiple of the parties, but for tasks that were cancelled after their
/// round was complete.
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

TEST_P(EventStress, ABarrierDoesNotCountWhoWasCancelled) { holds(check_barrier<h::barrier>); }
TEST_P(EventStress, ABarrierThatCountsWhoWasCancelledIsNoticed) {
  is_noticed(check_barrier<counting_barrier>);
}

}  // namespace
