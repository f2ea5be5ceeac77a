// SPDX-License-Identifier: MIT
// Deque and run queue under several threads, and with planted faults.
#include "sched/stress.h"

#include <heddle/core/base/random.h>
#include <heddle/sched/loop/deque.h>
#include <heddle/sched/loop/run_queue.h>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace {

using namespace heddle::detail;
using namespace stress;

class QueueStress : public at_threads {};

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

/// Planted: a thief publishes for the owner, and the owner takes what it thinks private without a
/// look.
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

TEST_P(QueueStress, TheDequeGivesEveryItemOnce) {
  for (std::uint64_t seed = 1; seed <= real_rounds; ++seed)
    ASSERT_TRUE(deque_holds<real_deque<sharing::half>>(others(), seed)) << "seed " << seed;
}

TEST_P(QueueStress, ADequeThatPublishesAllGivesEveryItemOnce) {
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

TEST_P(QueueStress, TheRunQueueGivesEveryItemOnce) {
  for (std::uint64_t seed = 1; seed <= real_rounds; ++seed)
    ASSERT_TRUE(run_queue_holds<real_run_queue>(others(), seed)) << "seed " << seed;
}

TEST(PlantedFault, ARunQueueWhoseThievesDoNotCompareIsNoticed) {
  EXPECT_TRUE(noticed(
      [](std::uint64_t seed) { return run_queue_holds<run_queue_with_a_plain_store>(2, seed); }));
}

HEDDLE_AT_LOOPS(QueueStress);

}  // namespace
