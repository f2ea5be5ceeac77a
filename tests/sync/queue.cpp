// SPDX-License-Identifier: MIT
// Q of the conformance list.
#include "sync/support.h"

#include <heddle/sync/queue.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace support;

class Queue : public at_loops {};
HEDDLE_AT_LOOPS(Queue);

h::task<int> get_one(h::queue<int>& q) { co_return co_await q.get(); }
h::task<> put_one(h::queue<int>& q, int item) { co_await q.put(item); }
h::task<> join(h::queue<int>& q) { co_await q.join(); }

TEST_P(Queue, ACancelledJoinLeaves) {
  run([]() -> h::task<> {
    h::queue<int> q;
    q.put_nowait(1);
    auto t = h::create_task(join(q));
    co_await until_waiting(t);
    t.cancel();
    EXPECT_EQ(co_await ending(t), "cancelled");
    (void)q.get_nowait();
    q.task_done();
  });
}

TEST_P(Queue, AGetterThatWasWokenAndCancelledWakesTheNext) {
  run([]() -> h::task<> {
    for (int i = 0; i < 200; ++i) {
      h::queue<int> q;
      auto a = h::create_task(get_one(q));
      auto b = h::create_task(get_one(q));
      co_await until_waiting(a);
      co_await until_waiting(b);
      q.put_nowait(1);
      a.cancel();
      const auto how = co_await ending(a);
      if (how == "value") q.put_nowait(2);
      co_await b;
      EXPECT_TRUE(q.empty());
    }
  });
}

/// A comparator whose copies ask the queue, as a debugging aid of the user's may.
struct asking {
  std::function<void()>* ask = nullptr;
  explicit asking(std::function<void()>* f) : ask(f) {}
  asking(const asking& other) : ask(other.ask) {
    if (*ask) (*ask)();
  }
  asking& operator=(const asking&) = default;
  bool operator()(int a, int b) const { return a < b; }
};

TEST_P(Queue, AComparatorIsNeverCopiedUnderTheQueuesLock) {
  run([]() -> h::task<> {
    std::function<void()> ask;
    h::priority_queue<int, asking> q(0, asking(&ask));
    int copies = 0;
    ask = [&] {
      ++copies;
      (void)q.is_shut_down();  // takes the lock
    };
    for (const int i : {3, 1, 2}) q.put_nowait(i);
    EXPECT_EQ(q.get_nowait(), 1);
    q.shutdown(true);
    EXPECT_EQ(copies, 0);
    ask = nullptr;
    co_return;
  });
}

TEST_P(Queue, AGetterThatComesTooLateWaitsInItsOldPlace) {
  run([]() -> h::task<> {
    h::queue<int> q;
    auto a = h::create_task(get_one(q));
    co_await until_waiting(a);
    auto b = h::create_task(get_one(q));
    co_await until_waiting(b);
    q.put_nowait(1);
    if (q.try_get()) {  // on several loops `a` may have been faster
      co_await until_waiting(a);
      q.put_nowait(2);
      EXPECT_EQ(co_await a, 2);
    } else {
      EXPECT_EQ(co_await a, 1);
    }
    q.put_nowait(3);
    EXPECT_EQ(co_await b, 3);
  });
}

TEST_P(Queue, AGetterThatComesTooLateCanStillBeCancelled) {
  run([]() -> h::task<> {
    h::queue<int> q;
    auto a = h::create_task(get_one(q));
    co_await until_waiting(a);
    q.put_nowait(1);
    if (!q.try_get()) co_return;
    co_await until_waiting(a);
    EXPECT_TRUE(a.cancel());
    EXPECT_EQ(co_await ending(a), "cancelled");
    EXPECT_TRUE(q.empty());
    q.put_nowait(2);  // wakes nobody
    EXPECT_EQ(q.get_nowait(), 2);
  });
}

TEST_P(Queue, APutterThatComesTooLateWaitsInItsOldPlace) {
  run([]() -> h::task<> {
    h::queue<int> q(1);
    q.put_nowait(0);
    auto a = h::create_task(put_one(q, 1));
    co_await until_waiting(a);
    auto b = h::create_task(put_one(q, 2));
    co_await until_waiting(b);
    EXPECT_EQ(q.get_nowait(), 0);
    if (q.try_put(9)) {
      co_await until_waiting(a);
      EXPECT_EQ(q.get_nowait(), 9);
    }
    co_await a;
    EXPECT_EQ(co_await q.get(), 1);
    co_await b;
    EXPECT_EQ(co_await q.get(), 2);
  });
}

TEST_P(Queue, APutterThatWasWokenAndCancelledWakesTheNext) {
  run([]() -> h::task<> {
    for (int i = 0; i < 200; ++i) {
      h::queue<int> q(1);
      q.put_nowait(0);
      auto a = h::create_task(put_one(q, 1));
      co_await until_waiting(a);
      auto b = h::create_task(put_one(q, 2));
      co_await until_waiting(b);
      EXPECT_EQ(q.get_nowait(), 0);
      a.cancel();
      const auto how = co_await ending(a);
      if (how == "value") { EXPECT_EQ(co_await q.get(), 1); }
      EXPECT_EQ(co_await q.get(), 2);
      co_await b;
    }
  });
}

TEST_P(Queue, ItMayLiveInTheFrameOfTheOneWhoGetsTheLastItem) {
  run([]() -> h::task<> {
    for (int i = 0; i < 500; ++i) {
      h::queue<int> q(1);
      h::create_task(put_one(q, i));
      EXPECT_EQ(co_await q.get(), i);
    }
  });
}

TEST(QueueItems, WhatMovesOnlyOrMovesBadlyIsHeld) {
  struct bad_mover {
    int value;
    explicit bad_mover(int v) : value(v) {}
    bad_mover(bad_mover&& other) noexcept(false) : value(other.value) {}
    bad_mover& operator=(bad_mover&& other) noexcept(false) {
      value = other.value;
      return *this;
    }
  };
  h::queue<std::unique_ptr<int>> q(1);
  auto item = std::make_unique<int>(1);
  EXPECT_TRUE(q.try_put(std::move(item)));
  auto refused = std::make_unique<int>(2);
  EXPECT_FALSE(q.try_put(std::move(refused)));
  ASSERT_NE(refused, nullptr) << "what was refused is as it was";
  EXPECT_EQ(**q.try_get(), 1);
  h::queue<bad_mover> b;
  for (int i = 0; i < 20; ++i) b.put_nowait(bad_mover(i));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(b.get_nowait().value, i);
}

TEST(QueueItems, APriorityQueueTakesAnyOrder) {
  const auto greater = [](int a, int b) { return a > b; };
  h::priority_queue<int, decltype(greater)> q(0, greater);
  for (int i : {1, 3, 2}) q.put_nowait(i);
  EXPECT_EQ(q.get_nowait(), 3);
  h::priority_queue<std::pair<int, std::string>> pairs;
  pairs.put_nowait(std::pair(2, std::string("b")));
  pairs.put_nowait(std::pair(1, std::string("z")));
  EXPECT_EQ(pairs.get_nowait().second, "z");
}

TEST(QueueItems, TheRingGrowsAroundItsSeam) {
  h::queue<int> q;
  int put = 0, got = 0;
  for (int round = 1; round < 60; ++round) {
    for (int i = 0; i < round; ++i) q.put_nowait(put++);
    for (int i = 0; i < round - 1; ++i) EXPECT_EQ(q.get_nowait(), got++);
  }
  while (got < put) EXPECT_EQ(q.get_nowait(), got++);
}

}  // namespace
