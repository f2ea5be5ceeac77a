// SPDX-License-Identifier: MIT
// Counts at the ends of their types, and tasks that were let go and have not run on.
#include "sync/support.h"

#include <heddle/sched/create_task.h>
#include <heddle/sync/barrier.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/latch.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace support;
using names = std::vector<std::string>;

class Edges : public at_loops {};
HEDDLE_AT_LOOPS(Edges);

TEST(Edges, ASemaphoreHoldsAsManyPermitsAsItsTypeCanSay) {
  for (const std::ptrdiff_t most : {PTRDIFF_MAX, PTRDIFF_MAX - 1, std::ptrdiff_t{1} << 62}) {
    h::semaphore s(most);
    ASSERT_TRUE(s.try_acquire());
    EXPECT_EQ(s.value(), most - 1);
    s.release();
    EXPECT_EQ(s.value(), most);
    h::bounded_semaphore b(most);
    ASSERT_TRUE(b.try_acquire());
    b.release();
    EXPECT_EQ(b.value(), most);
    EXPECT_THROW(b.release(), h::bad_value);
  }
}

TEST(Edges, AReleaseBeyondTheTypeIsRefusedAndChangesNothing) {
  h::semaphore s(1);
  EXPECT_THROW(s.release(PTRDIFF_MAX), h::bad_value);
  EXPECT_EQ(s.value(), 1);
  s.release(PTRDIFF_MAX - 1);
  EXPECT_EQ(s.value(), PTRDIFF_MAX);
  EXPECT_THROW(s.release(), h::bad_value);
  EXPECT_THROW(s.release(PTRDIFF_MAX), h::bad_value);
  EXPECT_EQ(s.value(), PTRDIFF_MAX);
  EXPECT_THROW(s.release(PTRDIFF_MIN), h::bad_value);
  EXPECT_THROW(h::semaphore(PTRDIFF_MIN), h::bad_value);
}

TEST_P(Edges, AReleaseOfAllPermitsServesWhoWaits) {
  run([]() -> h::task<> {
    h::semaphore s(0);
    auto waits = h::create_task([](h::semaphore& of) -> h::task<> { co_await of.acquire(); }(s));
    co_await until_waiting(waits);
    s.release(PTRDIFF_MAX);
    co_await waits;
    EXPECT_EQ(s.value(), PTRDIFF_MAX - 1);
  });
}

TEST_P(Edges, CountsOfTheOtherPrimitivesMayBeAsLargeAsTheirType) {
  run([]() -> h::task<> {
    h::latch l(PTRDIFF_MAX);
    EXPECT_THROW(l.count_down(PTRDIFF_MIN), h::bad_value);
    l.count_down(PTRDIFF_MAX);
    EXPECT_TRUE(l.try_wait());
    EXPECT_THROW(h::latch(PTRDIFF_MIN), h::bad_value);
    EXPECT_EQ(h::barrier(PTRDIFF_MAX).parties(), static_cast<std::size_t>(PTRDIFF_MAX));
    EXPECT_THROW(h::barrier(PTRDIFF_MIN), h::bad_value);
    h::queue<int> q(PTRDIFF_MAX);
    q.put_nowait(1);
    EXPECT_FALSE(q.full());
    EXPECT_EQ(h::queue<int>(PTRDIFF_MIN).max_size(), 0u);
    h::condition c;
    co_await c.lock();
    EXPECT_THROW(c.notify(-1), h::bad_value);
    c.notify(PTRDIFF_MAX);
    c.unlock();
  });
}

TEST_P(Edges, AQueueThatIsShutDownAfterAnEarlyTaskDoneCanBeJoined) {
  run([]() -> h::task<> {
    h::queue<int> q;
    for (int i = 0; i < 3; ++i) q.put_nowait(i);
    q.task_done();  // for one that nobody has got
    auto joins = h::create_task([](h::queue<int>& of) -> h::task<> { co_await of.join(); }(q));
    co_await until_waiting(joins);
    q.shutdown(true);
    co_await joins;
    EXPECT_THROW(q.task_done(), h::bad_value);
    co_await q.join();
  });
}

h::task<> acquire_as(h::semaphore& s, names& order, std::string name) {
  co_await s.acquire();
  order.push_back(std::move(name));
}

TEST(EdgesOfOrder, NewcomersDoNotOvertakeWhoWasGivenAPermit) {
  h::run(
      []() -> h::task<> {
        h::semaphore s(0);
        names order;
        auto first = h::create_task(acquire_as(s, order, "1"));
        co_await until_waiting(first);
        s.release(3);
        EXPECT_TRUE(s.locked()) << "permits are free, but for those who came first";
        EXPECT_EQ(s.value(), 2);
        EXPECT_FALSE(s.try_acquire());
        co_await s.acquire();
        order.push_back("2");
        co_await s.acquire();
        order.push_back("3");
        s.release();
        co_await s.acquire();
        order.push_back("4");
        co_await first;
        EXPECT_EQ(order, (names{"1", "2", "3", "4"}));
        EXPECT_FALSE(s.try_acquire());
        s.release();
        EXPECT_TRUE(s.try_acquire()) << "all have run on";
      }(),
      {.loops = 1});
}

TEST(EdgesOfOrder, ACancelledReceiverOfAPermitLetsThoseBehindGoOn) {
  h::run(
      []() -> h::task<> {
        h::semaphore s(0);
        names order;
        auto first = h::create_task(acquire_as(s, order, "1"));
        co_await until_waiting(first);
        s.release(2);
        first.cancel();
        auto second = h::create_task(acquire_as(s, order, "2"));
        auto third = h::create_task(acquire_as(s, order, "3"));
        co_await second;
        co_await third;
        EXPECT_EQ(order, (names{"2", "3"}));
        EXPECT_EQ(co_await ending(first), "cancelled");
        EXPECT_EQ(s.value(), 0);
        s.release();
        EXPECT_TRUE(s.try_acquire());
      }(),
      {.loops = 1});
}

TEST_P(Edges, ASemaphoreMayGoBeforeWhoItLetGoRunsOn) {
  run([]() -> h::task<> {
    for (int i = 0; i < 200; ++i) {
      auto s = std::make_unique<h::semaphore>(0);
      names order;
      auto got = h::create_task(acquire_as(*s, order, "1"));
      auto dropped = h::create_task(acquire_as(*s, order, "2"));
      co_await until_waiting(got);
      co_await until_waiting(dropped);
      s->release();
      dropped.cancel();
      co_await until([&] { return dropped.done(); });
      s.reset();
      co_await got;
    }
  });
}

TEST_P(Edges, PermitsAreNeitherLostNorMadeWhenReleasesAndNewcomersMeet) {
  run([]() -> h::task<> {
    h::semaphore s(3);
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 16; ++i)
      all.push_back(h::create_task([](h::semaphore& of, int seed) -> h::task<> {
        std::mt19937 random(static_cast<unsigned>(seed));
        for (int n = 0; n < 200; ++n) {
          if (random() % 4 == 0 && of.try_acquire()) {
            of.release();
            continue;
          }
          co_await of.acquire();
          if (random() % 2 == 0) co_await h::yield_now();
          of.release();
        }
      }(s, i)));
    for (auto& t : all) co_await t;
    EXPECT_EQ(s.value(), 3);
    EXPECT_FALSE(s.locked());
  });
}

/// What a party of a barrier came to: its number, or "broken".
h::task<std::string> meet(h::barrier& b) {
  try {
    const auto index = co_await b.wait();
    co_return std::to_string(index);
  } catch (const h::broken_barrier_error&) { co_return "broken"; }
}

h::task<std::string> meet_and_reset(h::barrier& b) {
  auto met = meet(b);
  auto index = co_await std::move(met);
  b.reset();
  co_return index;
}

TEST(EdgesOfOrder, AResetReachesThoseThatStillLeaveABarrier) {
  h::run(
      []() -> h::task<> {
        h::barrier b(6);
        std::vector<h::task_handle<std::string>> all;
        for (int i = 0; i < 6; ++i)
          all.push_back(h::create_task(i == 1 ? meet_and_reset(b) : meet(b)));
        names came;
        for (auto& t : all) came.push_back(co_await t);
        // The last to come goes on at once; then the others leave, and the second of them resets.
        EXPECT_EQ(came, (names{"0", "1", "broken", "broken", "broken", "5"}));
        EXPECT_FALSE(b.broken());
        EXPECT_EQ(b.n_waiting(), 0u);
      }(),
      {.loops = 1});
}

TEST(EdgesOfOrder, WhoComesWhileABarrierIsLeftStandsInTheNextRound) {
  h::run(
      []() -> h::task<> {
        h::barrier b(2);
        auto first = h::create_task(meet(b));
        co_await until_waiting(first);
        auto second = meet(b);
        EXPECT_EQ(co_await std::move(second), "1");
        auto early = h::create_task(meet(b));
        EXPECT_EQ(b.n_waiting(), 0u) << "the last round still leaves";
        EXPECT_EQ(co_await first, "0");
        co_await until_waiting(early);
        EXPECT_EQ(b.n_waiting(), 1u);
        auto other = meet(b);
        EXPECT_EQ(co_await std::move(other), "1");
        EXPECT_EQ(co_await early, "0");
      }(),
      {.loops = 1});
}

TEST(EdgesOfOrder, AResetLeavesWhoCameForTheNextRoundAndAnAbortDoesNot) {
  for (const bool aborts : {false, true})
    h::run(
        [](bool aborting) -> h::task<> {
          h::barrier b(2);
          auto first = h::create_task(meet(b));
          co_await until_waiting(first);
          (void)co_await b.wait();
          h::task_options at_once;
          at_once.eager = true;
          auto early = h::create_task(meet(b), at_once);
          if (aborting)
            b.abort();
          else
            b.reset();
          EXPECT_EQ(co_await first, aborting ? "0" : "broken");
          EXPECT_EQ(b.broken(), aborting);
          if (!aborting) (void)co_await b.wait();
          EXPECT_EQ(co_await early, aborting ? "broken" : "0");
        }(aborts),
        {.loops = 1});
}

TEST_P(Edges, ABarrierMayGoBeforeWhoItLetGoRunsOn) {
  run([]() -> h::task<> {
    for (int i = 0; i < 200; ++i) {
      auto b = std::make_unique<h::barrier>(3);
      auto one = h::create_task(meet(*b));
      auto two = h::create_task(meet(*b));
      co_await until([&] { return b->n_waiting() == 2; });
      (void)co_await b->wait();
      b.reset();
      const auto first = co_await one;
      const auto second = co_await two;
      EXPECT_NE(first, second);
    }
  });
}

TEST_P(Edges, ManyRoundsOfABarrierAreEachComplete) {
  run([]() -> h::task<> {
    constexpr int rounds = 300;
    h::barrier b(5);
    std::vector<std::atomic<int>> sums(rounds);
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 5; ++i)
      all.push_back(
          h::create_task([](h::barrier& of, std::vector<std::atomic<int>>& into) -> h::task<> {
            for (int r = 0; r < rounds; ++r) {
              const auto index = co_await of.wait();
              into[static_cast<std::size_t>(r)] += 1 << index;
            }
          }(b, sums)));
    for (auto& t : all) co_await t;
    for (auto& sum : sums) EXPECT_EQ(sum, 31);
  });
}

}  // namespace
