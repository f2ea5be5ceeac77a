// SPDX-License-Identifier: MIT
// Inbox, LOOK-TWICE, timers and hand-overs under several threads, and with planted faults.
#include "sched/stress.h"

#include <heddle/core/base/random.h>
#include <heddle/core/record/wait.h>
#include <heddle/sched/loop/inbox.h>
#include <heddle/sched/loop/timers.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace h = heddle;
using namespace heddle::detail;
using namespace stress;

class Stress : public at_threads {};

// ----------------------------------------------------- inbox and LOOK-TWICE

struct letter final : callback {
  void invoke() override {}
  void release() noexcept override {}
  unsigned from = 0;
  int number = 0;
};

struct real_inbox {
  inbox box;
  void push(work w) { box.push(w); }
  work take() { return box.take(); }
  bool looks_empty() { return box.looks_empty(); }
};

/// Takes what is there by a look and a store: what comes in between is dropped.
struct inbox_without_exchange {
  std::atomic<std::uintptr_t> head{0};
  void push(work w) {
    auto now = head.load();
    do { w.set_next(work::from(now)); } while (!head.compare_exchange_weak(now, w.bits()));
  }
  work take() {
    auto w = work::from(head.load());
    std::this_thread::yield();
    head = 0;  // the fault
    work in_order;
    while (w) {
      const auto next = w.next();
      w.set_next(in_order);
      in_order = w;
      w = next;
    }
    return in_order;
  }
  bool looks_empty() { return head.load() == 0; }
};

struct looks_twice {
  static constexpr bool second_look = true;
  static constexpr bool wakes = true;
};
struct looks_once {
  static constexpr bool second_look = false;
  static constexpr bool wakes = true;
};
struct forgets_to_wake {
  static constexpr bool second_look = true;
  static constexpr bool wakes = false;
};

/// One sleeper with an inbox, several senders, as worker::park and worker::wake do it. False: a
/// letter was lost, came twice or out of its sender's order, or lay there while its receiver slept.
template <class Inbox, class Protocol>
bool letters_arrive(unsigned senders, int each) {
  Inbox box;
  enum class sleep_state { awake, parked, notified };
  std::atomic<sleep_state> sleep{sleep_state::awake};
  std::counting_semaphore<> bell{0};
  std::vector<std::vector<letter>> letters(senders);
  for (auto& own : letters) own = std::vector<letter>(static_cast<std::size_t>(each));
  std::atomic<bool> give_up{false};
  std::vector<std::thread> all;
  for (unsigned s = 0; s < senders; ++s)
    all.emplace_back([&, s] {
      random_source random(s + 1);
      for (int i = 0; i < each && !give_up; ++i) {
        auto& l = letters[s][static_cast<std::size_t>(i)];
        l.from = s;
        l.number = i + 1;
        box.push(work(l));
        auto expected = sleep_state::parked;
        if (Protocol::wakes && sleep.load() == expected &&
            sleep.compare_exchange_strong(expected, sleep_state::notified))
          bell.release();
        if (random.below(4) == 0) std::this_thread::yield();
      }
    });
  std::vector<int> last(senders, 0);
  bool right = true;
  int left = static_cast<int>(senders) * each;
  while (left > 0 && right) {
    if (work w = box.take()) {
      while (w) {
        auto& l = static_cast<letter&>(w.as_callback());
        w = w.next();
        if (l.number != last[l.from] + 1) right = false;
        last[l.from] = l.number;
        --left;
      }
      continue;
    }
    if (!Protocol::second_look) std::this_thread::yield();
    sleep = sleep_state::parked;
    if (!Protocol::second_look || box.looks_empty()) {
      if (!bell.try_acquire_for(2s)) right = false;  // nobody rang, and not all letters have come
    }
    if (sleep.exchange(sleep_state::awake) == sleep_state::notified) (void)bell.try_acquire();
  }
  give_up = true;
  for (auto& t : all) t.join();
  (void)box.take();
  return right;
}

constexpr int letters_each = support::sanitized ? 500 : 5000;

TEST_P(Stress, LettersArriveOnceInOrderAndNobodySleepsOverThem) {
  for (int round = 0; round < 4; ++round)
    ASSERT_TRUE((letters_arrive<real_inbox, looks_twice>(GetParam(), letters_each)));
}

TEST(PlantedFault, AnInboxThatDropsWhatComesWhileItIsTakenIsNoticed) {
  EXPECT_TRUE(noticed([](std::uint64_t) {
    return letters_arrive<inbox_without_exchange, looks_twice>(4, letters_each);
  }));
}

TEST(PlantedFault, ASleeperWithoutTheSecondLookIsNoticed) {
  EXPECT_TRUE(noticed(
      [](std::uint64_t) { return letters_arrive<real_inbox, looks_once>(2, letters_each); }));
}

TEST(PlantedFault, ASenderThatForgetsToWakeIsNoticed) {
  EXPECT_TRUE(noticed(
      [](std::uint64_t) { return letters_arrive<real_inbox, forgets_to_wake>(1, letters_each); }));
}

// -------------------------------------------------------------------- timers

struct real_timers {
  struct node : timer_node {
    node() : timer_node(&on_fire) {}
    static void on_fire(timer_node& n, work_list&) noexcept { ++static_cast<node&>(n).fired; }
    std::atomic<int> fired{0}, removed{0};
  };
  timers heap;
  void arm(node& n, std::int64_t when) {
    heap.lock();
    (void)heap.arm(n, h::time_point(h::duration(when)));
    heap.unlock();
  }
  void disarm(node& n) {
    heap.lock();
    if (heap.disarm(n)) ++n.removed;
    heap.unlock();
  }
  void expire(std::int64_t now) { heap.expire(h::time_point(h::duration(now))); }
};

/// Removes a timer without the lock: what it saw may have changed when it acts.
struct timers_removed_without_the_lock {
  struct node {
    std::atomic<bool> armed{false};
    std::int64_t when = 0;
    std::atomic<int> fired{0}, removed{0};
  };
  std::mutex lock;
  std::vector<node*> list;
  void arm(node& n, std::int64_t when) {
    std::lock_guard hold(lock);
    n.when = when;
    n.armed = true;
    list.push_back(&n);
  }
  void disarm(node& n) {
    if (!n.armed) return;
    std::this_thread::yield();  // the fault: no lock
    n.armed = false;
    ++n.removed;
  }
  void expire(std::int64_t now) {
    std::lock_guard hold(lock);
    for (auto* n : list)
      if (n->when <= now && n->armed.exchange(false)) ++n->fired;
  }
};

/// Every timer fires or is removed: once, and never both.
template <class T>
bool timers_hold(unsigned threads, std::uint64_t seed) {
  constexpr int n = support::sanitized ? 200 : 1000;
  T t;
  std::vector<typename T::node> nodes(n);
  random_source random(seed);
  for (auto& one : nodes) t.arm(one, 1 + random.below(n));
  std::vector<std::thread> all;
  for (unsigned i = 0; i < threads; ++i)
    all.emplace_back([&, i] {
      random_source own(seed * 100 + i);
      for (int k = 0; k < n; ++k) {
        if (i % 2 == 0)
          t.expire(k);
        else
          t.disarm(nodes[own.below(n)]);
      }
    });
  for (auto& one : all) one.join();
  t.expire(n + 1);
  for (auto& one : nodes)
    if (one.fired + one.removed != 1) return false;
  return true;
}

TEST_P(Stress, EveryTimerFiresOrIsRemovedAndNeverBoth) {
  for (std::uint64_t seed = 1; seed <= real_rounds; ++seed)
    ASSERT_TRUE(timers_hold<real_timers>(GetParam(), seed)) << "seed " << seed;
}

TEST(PlantedFault, TimersRemovedWithoutTheLockAreNoticed) {
  EXPECT_TRUE(noticed(
      [](std::uint64_t seed) { return timers_hold<timers_removed_without_the_lock>(4, seed); }));
}

// ------------------------------------------------------- waiters: hand-over

struct gives_back {
  static constexpr bool after_cancel = true;
  static constexpr bool to_the_next = true;
};
struct keeps_what_it_was_given {
  static constexpr bool after_cancel = false;
  static constexpr bool to_the_next = true;
};
struct gives_up_at_the_first_that_is_lost {
  static constexpr bool after_cancel = true;
  static constexpr bool to_the_next = false;
};

/// Permits on the waiting protocol of core, with or without a fault.
template <class Policy>
class permits {
 public:
  class taking : queue_waiter {
   public:
    explicit taking(permits& p) noexcept : queue_waiter(p.queue_), permits_(&p) {}
    static bool await_ready() noexcept { return false; }
    template <heddle_promise P>
    bool await_suspend(std::coroutine_handle<P> c) {
      return permits_->wait_in(*this, c.promise().suspending(c));
    }
    void await_resume() {
      if (!cancelled_at_resume(*this)) return;
      if (given && Policy::after_cancel) permits_->give();
      throw_cancelled(*task);
    }

   private:
    const char* name() const noexcept override { return "permits"; }
    permits* permits_;
  };

  taking take() noexcept { return taking(*this); }
  void give() noexcept {
    queue_.lock();
    waiter* w = nullptr;
    if constexpr (Policy::to_the_next) {
      w = queue_.claim_first();
    } else if (waiter* first = queue_.first()) {
      queue_.unlink(*first);
      if (first->task->state().claim() == on_wake::schedule)
        w = first;
      else
        lost_ = true;  // the fault: the permit goes nowhere
    }
    if (w)
      w->given = true;
    else if (!std::exchange(lost_, false))
      ++free_;
    queue_.unlock();
    if (w) schedule(*w->task);
  }
  [[nodiscard]] int free() noexcept {
    queue_.lock();
    const int n = free_;
    queue_.unlock();
    return n;
  }
  std::atomic<int> taken{0};  // how often one was taken: shows whether anything still happens

 private:
  bool wait_in(waiter& w, task_record& t) noexcept {
    queue_.lock();
    const bool now = free_ > 0;
    if (now) --free_;
    const bool suspended = !now && queue_.suspend(w, t);
    queue_.unlock();
    return suspended;
  }

  wait_queue queue_;
  int free_ = 0;
  bool lost_ = false;
};

/// Tasks take and give back a permit each while others cancel them. In the end all permits must be
/// free.
template <class Policy>
h::task<bool> permits_are_kept(std::uint64_t seed, int tasks) {
  permits<Policy> pool;
  constexpr int all_permits = 2;
  for (int i = 0; i < all_permits; ++i) pool.give();
  std::vector<h::task_handle<>> takers, cancellers;
  for (int i = 0; i < tasks; ++i)
    takers.push_back(h::create_task(
        [](permits<Policy>& pool) -> h::task<> {
          for (int k = 0; k < 5; ++k) {
            co_await pool.take();
            ++pool.taken;
            struct at_end {
              permits<Policy>& pool;
              ~at_end() { pool.give(); }
            } end{pool};
            co_await h::yield_now();
          }
        },
        std::ref(pool)));
  // Each canceller brings a permit and cancels some takers in the same step. Where the loops take
  // turns on one processor, a taker that was given a permit runs next. A cancellation of the same
  // step meets it before it runs.
  constexpr int brought = 4;
  for (int c = 0; c < brought; ++c)
    cancellers.push_back(h::create_task(
        [](permits<Policy>& pool, std::vector<h::task_handle<>>& takers,
           std::uint64_t seed) -> h::task<> {
          random_source random(seed);
          const auto cancel_one = [&] {
            takers[random.below(static_cast<std::uint32_t>(takers.size()))].cancel();
          };
          for (auto n = random.below(8); n > 0; --n) co_await h::yield_now();
          pool.give();
          for (int k = 0; k < 4; ++k) cancel_one();
          for (std::size_t k = 0; k < takers.size() / 6; ++k) {
            cancel_one();
            co_await h::yield_now();
          }
        },
        std::ref(pool), std::ref(takers), seed * 10 + static_cast<std::uint64_t>(c)));
  for (auto& c : cancellers) co_await c;
  // If a permit is lost for good, the takers that are left wait for ever, and are cancelled here.
  // They wait for ever if all of them wait at two looks, and none took a permit in between. A taker
  // that was given one is awake at the second look, or has taken it.
  for (int same = 0, taken = -1; same < 2;) {
    bool ended = true, all_wait = true;
    const int now = pool.taken;
    for (auto& t : takers) {
      ended = ended && t.done();
      all_wait = all_wait && (t.done() || t.state().starts_with("waiting"));
    }
    if (ended) break;
    same = all_wait && now == taken ? same + 1 : 0;
    taken = now;
    co_await h::sleep(std::chrono::microseconds(100));
  }
  bool stuck = false;
  for (auto& t : takers) {
    stuck = stuck || !t.done();
    t.cancel();
  }
  for (auto& t : takers) co_await support::until_later([&] { return t.done(); });
  co_return !stuck && pool.free() == all_permits + brought;
}

class StressAtLoops : public support::at_loops {};

TEST_P(StressAtLoops, NoPermitIsLostWhateverIsCancelledWhen) {
  for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(support::rounds(60)); ++seed)
    ASSERT_TRUE(run(permits_are_kept<gives_back>(seed, 60))) << "seed " << seed;
}

TEST_P(StressAtLoops, APermitThatIsNotGivenBackIsNoticed) {
  EXPECT_TRUE(noticed(
      [](std::uint64_t seed) { return run(permits_are_kept<keeps_what_it_was_given>(seed, 60)); }));
}

TEST(PlantedFault, APermitGivenToOneThatIsLostIsNoticed) {
  // A canceller that stops between its claim and its unlinking: by hand, since the gap is a few
  // instructions wide.
  support::run_on_one([]() -> h::task<> {
    const auto count_free = [](auto& pool) -> h::task<int> {
      auto t = h::create_task([](auto* pool) -> h::task<> { co_await pool->take(); }, &pool);
      co_await h::yield_now();
      work_list cancelled;
      EXPECT_TRUE(cancelled.cancel(*t.record()));  // claimed ...
      pool.give();                                 // ... and met by a giver before it is unlinked
      cancelled.settle();
      co_await support::until([&] { return t.done(); });
      EXPECT_TRUE(t.cancelled());
      co_return pool.free();
    };
    permits<gives_back> sound;
    permits<gives_up_at_the_first_that_is_lost> faulty;
    EXPECT_EQ(co_await count_free(sound), 1);
    EXPECT_EQ(co_await count_free(faulty), 0);
  }());
}

HEDDLE_AT_LOOPS(Stress);
HEDDLE_AT_LOOPS(StressAtLoops);

}  // namespace
