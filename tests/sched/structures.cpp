// SPDX-License-Identifier: MIT
// The structures of a loop, each alone and in one thread; the fork deque is in deque.cpp. What
// several threads do to them is in queue_stress.cpp and stress.cpp.
#include "sched/numbers_to.h"

#include <heddle/sched/loop/idle.h>
#include <heddle/sched/loop/inbox.h>
#include <heddle/sched/loop/run_queue.h>
#include <heddle/sched/loop/timers.h>
#include <heddle/sched/loop/worker.h>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace heddle;
using namespace heddle::detail;

TEST(RunQueue, IsFirstInFirstOut) {
  run_queue<int*> q(4);
  auto item = numbers_to(4);
  for (auto& i : item) q.push(&i);
  for (int i = 1; i <= 4; ++i) EXPECT_EQ(*q.pop(), i);
  EXPECT_EQ(q.pop(), nullptr);
  EXPECT_TRUE(q.looks_empty());
  EXPECT_TRUE(q.looks_empty_again());
}

TEST(RunQueue, GrowsInOrder) {
  run_queue<int*> q(2);
  auto item = numbers_to(1000);
  for (int i = 0; i < 10; ++i) q.push(&item[static_cast<std::size_t>(i)]);
  for (int i = 1; i <= 5; ++i) ASSERT_EQ(*q.pop(), i);  // so that the live part does not start at 0
  for (int i = 10; i < 1000; ++i) q.push(&item[static_cast<std::size_t>(i)]);
  EXPECT_EQ(q.size(), 995u);
  for (int i = 6; i <= 1000; ++i) ASSERT_EQ(*q.pop(), i);
}

TEST(RunQueue, AThiefTakesTheOlderHalfRoundedUp) {
  run_queue<int*> victim(16), thief(16);
  auto item = numbers_to(5);
  for (auto& i : item) victim.push(&i);
  int* first = nullptr;
  EXPECT_EQ(victim.steal_half(thief, first), steal_result::got);
  EXPECT_EQ(*first, 1);
  EXPECT_EQ(*thief.pop(), 2);
  EXPECT_EQ(*thief.pop(), 3);
  EXPECT_EQ(thief.pop(), nullptr);
  EXPECT_EQ(*victim.pop(), 4);
  EXPECT_EQ(*victim.pop(), 5);
}

TEST(RunQueue, AThiefTakesALastOneAndNothingFromAnEmptyOne) {
  run_queue<int*> victim(16), thief(16);
  int one = 1;
  victim.push(&one);
  int* first = nullptr;
  EXPECT_EQ(victim.steal_half(thief, first), steal_result::got);
  EXPECT_EQ(first, &one);
  EXPECT_EQ(victim.steal_half(thief, first), steal_result::empty);
  EXPECT_TRUE(thief.looks_empty());
}

TEST(RunQueue, ATheftIsBounded) {
  run_queue<int*> victim, thief;
  auto item = numbers_to(1000);
  for (auto& i : item) victim.push(&i);
  int* first = nullptr;
  EXPECT_EQ(victim.steal_half(thief, first), steal_result::got);
  EXPECT_EQ(thief.size(), 127u);
  EXPECT_EQ(victim.steal_half(thief, first, 3), steal_result::got);
  EXPECT_EQ(*first, 129);
  EXPECT_EQ(thief.size(), 129u);
}

TEST(LocalQueue, KeepsItsOrderWhileItGrowsAndGoesRound) {
  local_queue<std::uintptr_t> q;
  EXPECT_EQ(q.pop(), 0u);
  std::uintptr_t in = 0, out = 0;
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 100; ++i) q.push(++in);
    for (int i = 0; i < 60; ++i) ASSERT_EQ(q.pop(), ++out);
  }
  EXPECT_EQ(q.size(), in - out);
  while (!q.empty()) ASSERT_EQ(q.pop(), ++out);
  EXPECT_EQ(in, out);
}

struct counted_callback : callback {
  explicit counted_callback(int& run, int& released) : run_count(&run), release_count(&released) {}
  void invoke() override { ++*run_count; }
  void release() noexcept override { ++*release_count; }
  int* run_count;
  int* release_count;
};

TEST(Inbox, GivesAllThatCameOldestFirst) {
  inbox box;
  EXPECT_TRUE(box.looks_empty());
  EXPECT_FALSE(box.take());
  int run = 0, released = 0;
  std::vector<std::unique_ptr<counted_callback>> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(std::make_unique<counted_callback>(run, released));
    box.push(work(*all.back()));
  }
  EXPECT_FALSE(box.looks_empty());
  work item = box.take();
  EXPECT_TRUE(box.looks_empty());
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(item);
    ASSERT_FALSE(item.is_task());
    EXPECT_EQ(&item.as_callback(), all[static_cast<std::size_t>(i)].get());
    item = item.next();
  }
  EXPECT_FALSE(item);
}

void drop_nothing(eventual& self) noexcept { static_cast<task_record&>(self).recycle(); }
constexpr eventual_ops plain_ops{&drop_nothing, nullptr, nullptr};

TEST(Inbox, MixesTasksAndCallbacksInTheirOrder) {
  inbox box;
  int run = 0, released = 0;
  counted_callback c(run, released);
  auto* t1 = task_record::make(kind::task, plain_ops, 1);
  auto* t2 = task_record::make(kind::task, plain_ops, 1);
  box.push(work(*t1));
  box.push(work(c));
  box.push(work(*t2));
  work item = box.take();
  EXPECT_EQ(&item.as_task(), t1);
  item = item.next();
  EXPECT_FALSE(item.is_task());
  EXPECT_EQ(&item.as_callback(), &c);
  item = item.next();
  EXPECT_EQ(&item.as_task(), t2);
  EXPECT_FALSE(item.next());
  t1->unref();
  t2->unref();
}

TEST(SharedQueue, CountsWhatIsInIt) {
  shared_queue q;
  EXPECT_TRUE(q.empty());
  EXPECT_EQ(q.pop(), nullptr);
  auto* t = task_record::make(kind::task, plain_ops, 1);
  q.push(*t);
  EXPECT_FALSE(q.empty());
  EXPECT_EQ(q.size(), 1u);
  EXPECT_EQ(q.pop(), t);
  EXPECT_TRUE(q.empty());
  EXPECT_EQ(q.pop(), nullptr);
  t->unref();
}

// ------------------------------------------------------------------ callback

TEST(Callback, RunsOnceAndReleasesWhatItHeld) {
  int run = 0, released = 0;
  counted_callback c(run, released);
  c.run();
  c.run();
  EXPECT_EQ(run, 1);
  EXPECT_EQ(released, 1);
  EXPECT_FALSE(c.cancel());
  EXPECT_FALSE(c.cancelled());
}

TEST(Callback, CancelledBeforeItRunsItNeverDoesAndIsReleasedAtOnce) {
  int run = 0, released = 0;
  counted_callback c(run, released);
  EXPECT_TRUE(c.cancel());
  EXPECT_EQ(released, 1);
  EXPECT_TRUE(c.cancel());
  EXPECT_EQ(released, 1);
  c.run();
  EXPECT_EQ(run, 0);
  EXPECT_TRUE(c.cancelled());
}

TEST(Callback, ReleasesWhatItHeldAlsoWhenItThrows) {
  struct throwing : counted_callback {
    using counted_callback::counted_callback;
    void invoke() override { throw 7; }
  };
  int run = 0, released = 0;
  throwing c(run, released);
  EXPECT_THROW(c.run(), int);
  EXPECT_EQ(released, 1);
}

// -------------------------------------------------------------------- timers

struct test_timer : timer_node {
  explicit test_timer(std::string n, std::string& out)
      : timer_node(&fired), name(std::move(n)), log(&out) {}
  static void fired(timer_node& node, work_list&) noexcept {
    auto& self = static_cast<test_timer&>(node);
    *self.log += self.name;
  }
  std::string name;
  std::string* log;
};

time_point at(std::int64_t ns) { return time_point(duration(ns)); }

TEST(Timers, FireByDeadlineThenByTheOrderOfArming) {
  timers heap;
  std::string log;
  test_timer a("a", log), b("b", log), c("c", log), d("d", log);
  heap.lock();
  EXPECT_TRUE(heap.arm(a, at(30)));
  EXPECT_TRUE(heap.arm(b, at(10)));
  EXPECT_FALSE(heap.arm(c, at(30)));
  EXPECT_FALSE(heap.arm(d, at(10)));
  heap.unlock();
  EXPECT_EQ(heap.first(), at(10));
  EXPECT_EQ(heap.expire(at(9)), 0u);
  EXPECT_EQ(heap.expire(at(10)), 2u);
  EXPECT_EQ(log, "bd");
  EXPECT_EQ(heap.first(), at(30));
  EXPECT_EQ(heap.expire(at(1000)), 2u);
  EXPECT_EQ(log, "bdac");
  EXPECT_EQ(heap.first(), time_point::max());
  EXPECT_EQ(heap.size(), 0u);
}

TEST(Timers, ADisarmedOneNeverFiresAndIsDisarmedOnce) {
  timers heap;
  std::string log;
  test_timer a("a", log), b("b", log);
  heap.lock();
  heap.arm(a, at(1));
  heap.arm(b, at(2));
  EXPECT_TRUE(heap.disarm(a));
  EXPECT_FALSE(heap.disarm(a));
  heap.unlock();
  EXPECT_EQ(heap.first(), at(2));
  EXPECT_EQ(heap.expire(at(5)), 1u);
  EXPECT_EQ(log, "b");
  heap.lock();
  EXPECT_FALSE(heap.disarm(b));
  heap.unlock();
}

TEST(Timers, AnyOfManyCanBeRemovedAndTheRestStaysInOrder) {
  timers heap;
  std::string unused;
  struct numbered : timer_node {
    explicit numbered(std::vector<int>& out) : timer_node(&fired), log(&out) {}
    static void fired(timer_node& node, work_list&) noexcept {
      auto& self = static_cast<numbered&>(node);
      self.log->push_back(self.deadline);
    }
    int deadline = 0;
    std::vector<int>* log;
  };
  std::vector<int> log;
  std::vector<std::unique_ptr<numbered>> all;
  random_source random(42);
  heap.lock();
  for (int i = 0; i < 2000; ++i) {
    all.push_back(std::make_unique<numbered>(log));
    all.back()->deadline = static_cast<int>(random.below(500));
    heap.arm(*all.back(), at(all.back()->deadline));
  }
  for (int i = 0; i < 2000; i += 3) EXPECT_TRUE(heap.disarm(*all[static_cast<std::size_t>(i)]));
  heap.unlock();
  const auto left = heap.size();
  EXPECT_EQ(left, 2000u - 667u);
  EXPECT_EQ(heap.expire(at(1000)), left);
  ASSERT_EQ(log.size(), left);
  for (std::size_t i = 1; i < log.size(); ++i) ASSERT_LE(log[i - 1], log[i]);
}

TEST(Timers, OneAtTheEndOfTimeNeverComes) {
  timers heap;
  std::string log;
  test_timer a("a", log);
  heap.lock();
  heap.arm(a, time_point::max());
  heap.unlock();
  EXPECT_EQ(heap.first(), time_point::max());
  EXPECT_EQ(heap.expire(at(std::int64_t{1} << 62)), 0u);
  heap.lock();
  EXPECT_TRUE(heap.disarm(a));
  heap.unlock();
}

TEST(Timers, AnotherThreadMayExpireThem) {
  timers heap;
  std::string log;
  test_timer a("a", log);
  heap.lock();
  heap.arm(a, at(1));
  heap.unlock();
  std::thread([&] { EXPECT_EQ(heap.expire(at(2)), 1u); }).join();
  EXPECT_EQ(log, "a");
}

// ------------------------------------------------------------------ idle_set

TEST(IdleSet, AtMostHalfOfTheLoopsSearch) {
  idle_set idle(4);
  EXPECT_TRUE(idle.try_search());
  EXPECT_TRUE(idle.try_search());
  EXPECT_FALSE(idle.try_search());
  EXPECT_FALSE(idle.stop_searching());
  EXPECT_TRUE(idle.stop_searching());
}

TEST(IdleSet, ASleeperTakenToSearchCountsAsASearcherAndIsToldSo) {
  idle_set idle(4);
  idle.park(2);
  EXPECT_EQ(idle.parked(), 1u);
  EXPECT_TRUE(idle.wants_waking());
  EXPECT_EQ(idle.take_for_search(), 2u);
  EXPECT_EQ(idle.parked(), 0u);
  EXPECT_EQ(idle.searching(), 1u);
  EXPECT_FALSE(idle.wants_waking());
  EXPECT_TRUE(idle.unpark(2));
  idle.park(2);
  EXPECT_FALSE(idle.unpark(2));
  EXPECT_TRUE(idle.stop_searching());
}

TEST(IdleSet, NobodyIsWokenWhileSomebodySearches) {
  idle_set idle(4);
  idle.park(0);
  idle.park(1);
  ASSERT_TRUE(idle.try_search());
  EXPECT_FALSE(idle.wants_waking());
  EXPECT_EQ(idle.take_for_search(), idle_set::nobody);
  EXPECT_TRUE(idle.stop_searching());
  EXPECT_NE(idle.take_for_search(), idle_set::nobody);
}

TEST(IdleSet, ALoopThatWakesByItselfLeavesTheSet) {
  idle_set idle(2);
  idle.park(0);
  idle.park(1);
  EXPECT_TRUE(idle.all_parked());
  EXPECT_FALSE(idle.unpark(0));
  EXPECT_FALSE(idle.all_parked());
  EXPECT_EQ(idle.any(), 1u);
  EXPECT_FALSE(idle.unpark(1));
  EXPECT_EQ(idle.any(), idle_set::nobody);
  EXPECT_EQ(idle.parked(), 0u);
}

TEST(IdleSet, HoldsMoreLoopsThanAWordHasBits) {
  idle_set idle(200);
  idle.park(150);
  idle.park(64);
  EXPECT_EQ(idle.take_for_search(), 64u);
  EXPECT_TRUE(idle.unpark(64));
  EXPECT_TRUE(idle.stop_searching());
  EXPECT_EQ(idle.any(), 150u);
  EXPECT_EQ(idle.take_for_search(64), 150u);
  EXPECT_EQ(idle.any(), idle_set::nobody);
}

TEST(IdleSet, ASleeperNearbyIsTaken) {
  idle_set idle(200);
  for (const unsigned loop : {3u, 40u, 45u, 150u}) idle.park(loop);
  EXPECT_EQ(idle.take_for_search(41), 45u);
  EXPECT_EQ(idle.stop_searching_and_pass_on(0, 160).first, 3u);
  EXPECT_EQ(idle.stop_searching_and_pass_on(0, 39).first, 40u);
  EXPECT_TRUE(idle.stop_searching());
}

TEST(IdleSet, WhereThereWasMoreTheWakeUpsAreATree) {
  idle_set idle(64);
  for (unsigned loop = 1; loop < 64; ++loop) idle.park(loop);
  // One that finds nothing beside is replaced.
  ASSERT_EQ(idle.take_for_search(), 1u);
  auto next = idle.stop_searching_and_pass_on(0);
  EXPECT_EQ(next.first, 2u);
  EXPECT_EQ(next.second, idle_set::nobody);
  EXPECT_EQ(idle.searching(), 1u);
  next = idle.stop_searching_and_pass_on(100);
  EXPECT_EQ(next.first, 3u);
  EXPECT_EQ(next.second, 4u);
  EXPECT_EQ(idle.searching(), 2u);
  // At most half of those awake search, and as many as a quarter of those that sleep.
  unsigned woken = 0;
  while (idle.searching() != 0 && woken < 64) {
    const auto more = idle.stop_searching_and_pass_on(100);
    woken +=
        (more.first != idle_set::nobody ? 1u : 0u) + (more.second != idle_set::nobody ? 1u : 0u);
    EXPECT_LE(2 * idle.searching(), 64 - idle.parked());
    EXPECT_LE(idle.searching(), 16u);
  }
  EXPECT_EQ(idle.parked(), 0u);
  EXPECT_EQ(idle.any(), idle_set::nobody);
}

TEST(IdleSet, ASearcherIsWantedWhileSomebodySleepsAndNobodySearches) {
  idle_set idle(4);
  EXPECT_EQ(idle.wanted().load(relaxed), 0u);
  idle.park(3);
  EXPECT_EQ(idle.wanted().load(relaxed), 1u);
  ASSERT_TRUE(idle.try_search());
  EXPECT_EQ(idle.wanted().load(relaxed), 0u);
  EXPECT_TRUE(idle.stop_searching());
  EXPECT_EQ(idle.wanted().load(relaxed), 1u);
  EXPECT_FALSE(idle.unpark(3));
  EXPECT_EQ(idle.wanted().load(relaxed), 0u);
}

}  // namespace
