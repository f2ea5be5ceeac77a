// SPDX-License-Identifier: MIT
// The structures and protocols of the scheduler under several threads. Each stress is a template:
// it runs once over the real thing, which must hold, and once over one with a planted fault, which
// the same check must notice; otherwise the check is worth nothing. The faults give the processor
// up where they are wrong, so that they show soon.
#include <heddle/core/base/random.h>
#include <heddle/core/record/wait.h>
#include <heddle/sched/loop/deque.h>
#include <heddle/sched/loop/inbox.h>
#include <heddle/sched/loop/run_queue.h>
#include <heddle/sched/loop/timers.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>

#include <support/loops.h>

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
using namespace std::chrono_literals;

using item = std::uintptr_t;

/// How many other threads take part, beside the owner.
class Stress : public testing::TestWithParam<unsigned> {
 protected:
  static unsigned others() { return GetParam() == 1 ? 0 : GetParam() == 2 ? 1 : 7; }
};

constexpr auto bound = 60s;  // a planted fault is noticed long before
constexpr int items_a_round = support::sanitized ? 500 : 5000;
constexpr int real_rounds = support::sanitized ? 4 : 40;

/// How often each item was taken.
class tally {
 public:
  explicit tally(int n) : seen_(static_cast<std::size_t>(n) + 1) {}
  void take(item i) { seen_[i].fetch_add(1, std::memory_order_relaxed); }
  /// Every item exactly once?
  [[nodiscard]] bool right() const {
    for (std::size_t i = 1; i < seen_.size(); ++i)
      if (seen_[i] != 1) return false;
    return true;
  }

 private:
  std::vector<std::atomic<int>> seen_;
};

// --------------------------------------------------------------------- deque

template <sharing How>
struct real_deque {
  real_deque() { d.share(How); }
  deque<item> d{4};
  void push(item i) { d.push(i); }
  /// As a fork does it, and now and then as one does while loops sleep.
  void forked(bool hungry) {
    if (hungry || d.wants_publishing()) d.publish(hungry);
  }
  item pop() { return d.pop(); }
  item steal() {
    deque<item>::thief thief(d);
    item got{};
    if (thief.steal(got) == steal_result::got) return got;
    return thief.looks_private() && thief.expose() && thief.steal(got) == steal_result::got ? got
                                                                                            : 0;
  }
};

/// A thief publishes for the owner, who does not look up before it takes what it thinks private.
struct deque_that_is_exposed_without_a_word {
  std::vector<std::atomic<item>> slots = std::vector<std::atomic<item>>(1 << 13);
  std::atomic<std::int64_t> top{0}, split{0}, bottom{0};
  std::atomic<item>& at(std::int64_t i) {
    return slots[static_cast<std::size_t>(i) & (slots.size() - 1)];
  }
  void push(item i) {
    at(bottom.load()) = i;
    bottom.fetch_add(1);
  }
  void forked(bool) {}
  item pop() {
    const auto b = bottom.load() - 1;
    if (b >= split.load()) {
      std::this_thread::yield();  // the fault: what it saw may be over
      bottom = b;
      return at(b);
    }
    auto t = top.load();  // from the thieves' end, so that this part is right
    if (t >= split.load()) return 0;
    const item got = at(t);
    return top.compare_exchange_strong(t, t + 1) ? got : 0;
  }
  item steal() {
    auto t = top.load();
    if (t >= split.load()) {
      split = bottom.load();
      return 0;
    }
    const item got = at(t);
    return top.compare_exchange_strong(t, t + 1) ? got : 0;
  }
};

/// The owner takes the last item without competing for it.
struct deque_without_the_last_compare_exchange {
  std::vector<std::atomic<item>> slots = std::vector<std::atomic<item>>(1 << 13);
  std::atomic<std::int64_t> top{0}, bottom{0};
  std::atomic<item>& at(std::int64_t i) {
    return slots[static_cast<std::size_t>(i) & (slots.size() - 1)];
  }
  void push(item i) {
    at(bottom.load()) = i;
    bottom.fetch_add(1);
  }
  void forked(bool) {}
  item pop() {
    const auto b = bottom.load() - 1;
    if (top.load() > b) return 0;
    bottom = b;
    const auto t = top.load();
    if (t > b) {
      bottom = b + 1;
      return 0;
    }
    std::this_thread::yield();
    const item got = at(b);
    if (t == b) {
      top = b + 1;  // the fault
      bottom = b + 1;
    }
    return got;
  }
  item steal() {
    auto t = top.load();
    if (t >= bottom.load()) return 0;
    const item got = at(t);
    if (got % 16 == 0) std::this_thread::yield();  // so that it shows on one processor, too
    return top.compare_exchange_strong(t, t + 1) ? got : 0;
  }
};

template <class D>
bool deque_holds(unsigned thieves, std::uint64_t seed) {
  D d;
  tally seen(items_a_round);
  std::atomic<bool> done{false};
  std::vector<std::thread> all;
  for (unsigned i = 0; i < thieves; ++i)
    all.emplace_back([&] {
      while (!done)
        if (const item got = d.steal())
          seen.take(got);
        else
          std::this_thread::yield();
    });
  random_source random(seed);
  for (item next = 1; next <= items_a_round;) {
    for (auto n = random.below(3) + 1; n > 0 && next <= items_a_round; --n) d.push(next++);
    if (random.below(8) != 0) d.forked(random.below(8) == 0);
    for (auto n = random.below(4); n > 0; --n)
      if (const item got = d.pop()) seen.take(got);
  }
  while (const item got = d.pop()) seen.take(got);
  done = true;
  for (auto& t : all) t.join();
  while (const item got = d.steal()) seen.take(got);
  return seen.right();
}

/// Tries until the fault shows.
template <class F>
bool noticed(F holds) {
  const auto end = std::chrono::steady_clock::now() + bound;
  for (std::uint64_t seed = 1; std::chrono::steady_clock::now() < end; ++seed)
    if (!holds(seed)) return true;
  return false;
}

TEST_P(Stress, TheDequeGivesEveryItemOnce) {
  for (std::uint64_t seed = 1; seed <= real_rounds; ++seed)
    ASSERT_TRUE(deque_holds<real_deque<sharing::half>>(others(), seed)) << "seed " << seed;
}

TEST_P(Stress, ADequeThatPublishesAllGivesEveryItemOnce) {
  for (std::uint64_t seed = 1; seed <= real_rounds; ++seed)
    ASSERT_TRUE(deque_holds<real_deque<sharing::all>>(others(), seed)) << "seed " << seed;
}

TEST(PlantedFault, ADequeThatIsExposedBehindItsOwnersBackIsNoticed) {
  EXPECT_TRUE(noticed([](std::uint64_t seed) {
    return deque_holds<deque_that_is_exposed_without_a_word>(2, seed);
  }));
}

TEST(PlantedFault, ADequeWhoseOwnerDoesNotCompeteForTheLastItemIsNoticed) {
  EXPECT_TRUE(noticed([](std::uint64_t seed) {
    return deque_holds<deque_without_the_last_compare_exchange>(2, seed);
  }));
}

// ----------------------------------------------------------------- run queue

struct real_run_queue {
  run_queue<item> q{4};
  void push(item i) { q.push(i); }
  item pop() { return q.pop(); }
  void steal(real_run_queue& own, tally& seen) {
    item first{};
    if (q.steal_half(own.q, first) == steal_result::got) seen.take(first);
  }
};

/// A thief that moves the head without looking whether somebody was faster.
struct run_queue_with_a_plain_store {
  std::vector<std::atomic<item>> slots = std::vector<std::atomic<item>>(1 << 13);
  std::atomic<std::uint64_t> head{0}, tail{0};
  std::atomic<item>& at(std::uint64_t i) { return slots[i & (slots.size() - 1)]; }
  void push(item i) {
    at(tail.load()) = i;
    tail.fetch_add(1);
  }
  item pop() {
    auto now = head.load();
    for (;;) {
      if (now >= tail.load()) return 0;
      const item got = at(now);
      if (head.compare_exchange_weak(now, now + 1)) return got;
    }
  }
  void steal(run_queue_with_a_plain_store& own, tally& seen) {
    const auto now = head.load();
    const auto end = tail.load();
    if (now >= end) return;
    const auto n = (end - now + 1) / 2;
    std::this_thread::yield();
    std::vector<item> got;
    for (std::uint64_t i = 0; i < n; ++i) got.push_back(at(now + i));
    head = now + n;  // the fault
    seen.take(got.front());
    for (std::size_t i = 1; i < got.size(); ++i) own.push(got[i]);
  }
};

template <class Q>
bool run_queue_holds(unsigned thieves, std::uint64_t seed) {
  Q q;
  tally seen(items_a_round);
  std::atomic<bool> done{false};
  std::vector<std::thread> all;
  for (unsigned i = 0; i < thieves; ++i)
    all.emplace_back([&] {
      Q own;
      while (!done) {
        q.steal(own, seen);
        while (const item got = own.pop()) seen.take(got);
        std::this_thread::yield();
      }
    });
  random_source random(seed);
  for (item next = 1; next <= items_a_round;) {
    for (auto n = random.below(8) + 1; n > 0 && next <= items_a_round; --n) q.push(next++);
    for (auto n = random.below(7); n > 0; --n)
      if (const item got = q.pop()) seen.take(got);
  }
  while (const item got = q.pop()) seen.take(got);
  done = true;
  for (auto& t : all) t.join();
  return seen.right();
}

TEST_P(Stress, TheRunQueueGivesEveryItemOnce) {
  for (std::uint64_t seed = 1; seed <= real_rounds; ++seed)
    ASSERT_TRUE(run_queue_holds<real_run_queue>(others(), seed)) << "seed " << seed;
}

TEST(PlantedFault, ARunQueueWhoseThievesDoNotCompareIsNoticed) {
  EXPECT_TRUE(noticed(
      [](std::uint64_t seed) { return run_queue_holds<run_queue_with_a_plain_store>(2, seed); }));
}

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
  std::atomic<int> taken{0};  // how often; for who looks whether anything still happens

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
  // Each brings a permit of its own and cancels some in the same breath: so that one who was just
  // given it is met also where the loops take turns on one processor, and who was given something
  // runs next.
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
  // With a permit lost for good the takers left over wait for ever: so they are cancelled then. All
  // of them wait, at two looks between which nobody took one: who is given one is awake at the
  // second look, or has taken it.
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

INSTANTIATE_TEST_SUITE_P(Threads, Stress, ::testing::Values(1u, 2u, 8u),
                         [](const auto& p) { return std::to_string(p.param); });
HEDDLE_AT_LOOPS(StressAtLoops);

}  // namespace
