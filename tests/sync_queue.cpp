// SPDX-License-Identifier: MIT
// Q of the conformance list.
#include "sync_support.h"

#include <heddle/sync/queue.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace support;

class Queue : public on_loops {};
RUN_ON_LOOPS(Queue);

h::task<int> get_one(h::queue<int>& q) { co_return co_await q.get(); }
h::task<> put_one(h::queue<int>& q, int item) { co_await q.put(item); }
h::task<> join(h::queue<int>& q) { co_await q.join(); }

TEST_P(Queue, Q_01_FirstLatestOrLeastFirst) {
  run([]() -> h::task<> {
    h::queue<int> fifo;
    h::lifo_queue<int> lifo;
    h::priority_queue<int> least;
    for (int i : {1, 3, 2}) {
      co_await fifo.put(i);
      co_await lifo.put(i);
      co_await least.put(i);
    }
    for (int i : {1, 3, 2}) EXPECT_EQ(co_await fifo.get(), i);
    for (int i : {2, 3, 1}) EXPECT_EQ(co_await lifo.get(), i);
    for (int i : {1, 2, 3}) EXPECT_EQ(co_await least.get(), i);
  });
}

TEST_P(Queue, Q_02_APutterWaitsWhileItIsFull) {
  run([]() -> h::task<> {
    h::queue<int> q(2);
    auto body = [](h::queue<int>& qq) -> h::task<> {
      for (int i = 0; i < 3; ++i) co_await qq.put(i);
    };
    auto t = h::create_task(body(q));
    co_await until_waiting(t);
    EXPECT_TRUE(q.full());
    EXPECT_EQ(q.size(), 2u);
    EXPECT_EQ(co_await q.get(), 0);
    co_await t;
    EXPECT_EQ(q.size(), 2u);
  });
}

TEST_P(Queue, Q_03_WithoutAPositiveBoundItIsNeverFull) {
  run([]() -> h::task<> {
    h::queue<int> zero(0), negative(-5);
    for (int i = 0; i < 1000; ++i) {
      co_await zero.put(i);
      co_await negative.put(i);
    }
    EXPECT_FALSE(zero.full());
    EXPECT_FALSE(negative.full());
    EXPECT_EQ(negative.size(), 1000u);
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(zero.get_nowait(), i);
  });
}

TEST_P(Queue, Q_04_TheFormsThatDoNotWaitThrowOrSayNo) {
  run([]() -> h::task<> {
    h::queue<int> q(1);
    EXPECT_THROW((void)q.get_nowait(), h::queue_empty);
    EXPECT_EQ(q.try_get(), std::nullopt);
    q.put_nowait(1);
    EXPECT_THROW(q.put_nowait(2), h::queue_full);
    EXPECT_FALSE(q.try_put(2));
    EXPECT_EQ(q.get_nowait(), 1);
    EXPECT_TRUE(q.try_put(3));
    EXPECT_EQ(q.try_get(), 3);
    co_return;
  });
}

TEST_P(Queue, Q_05_AGetterThatTimedOutLeavesNothingBehind) {
  run([]() -> h::task<> {
    h::queue<int> q;
    auto waiting = h::create_task(get_one(q));
    co_await until_waiting(waiting);
    q.put_nowait(1);
    EXPECT_EQ(co_await waiting, 1);
    bool timed_out = false;
    try {
      co_await h::timeout(1ms, [&q]() -> h::task<> { (void)co_await q.get(); });
    } catch (const h::timeout_error&) { timed_out = true; }
    EXPECT_TRUE(timed_out);
    q.put_nowait(2);
    EXPECT_EQ(q.size(), 1u);
  });
}

h::task<> get_and_tell(h::queue<int>& q, std::atomic<bool>& took) {
  (void)co_await q.get();
  took = true;
}

TEST_P(Queue, Q_06_TheOneBehindACancelledGetterGetsTheItem) {
  run([]() -> h::task<> {
    h::queue<int> q;
    auto t1 = h::create_task(get_one(q));
    co_await until_waiting(t1);
    auto t2 = h::create_task(get_one(q));
    co_await until_waiting(t2);
    t1.cancel();
    EXPECT_EQ(co_await ending(t1), "cancelled");
    q.put_nowait(7);
    EXPECT_EQ(co_await t2, 7);
  });
}

TEST_P(Queue, Q_07_AnItemIsNotLostWithAGetterThatIsCancelledBeforeItLooks) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
    h::queue<int> q;
    auto t = h::create_task(get_one(q));
    co_await until_waiting(t);
    q.put_nowait(7);
    t.cancel();
    const auto how = co_await ending(t);
    EXPECT_TRUE(!strict || how == "cancelled");
    if (how == "cancelled")
      EXPECT_LE(q.size(), 1u);
    else
      EXPECT_TRUE(q.empty());
    EXPECT_TRUE(!strict || q.try_get() == 7);
  });
}

TEST_P(Queue, Q_09_TwoItemsReachTheTwoReadersThatWereNotCancelled) {
  run([]() -> h::task<> {
    h::queue<int> q;
    std::atomic<bool> took[3] = {};
    std::vector<h::task_handle<>> readers;
    for (auto& t : took) {
      readers.push_back(h::create_task(get_and_tell(q, t)));
      co_await until_waiting(readers.back());
    }
    q.put_nowait(1);
    q.put_nowait(2);
    readers[0].cancel();
    (void)co_await ending(readers[0]);
    // On several loops it may have been faster, and then cancelled all the same, between its take and its end.
    if (took[0]) q.put_nowait(3);
    EXPECT_EQ(co_await ending(readers[1]), "value");
    EXPECT_EQ(co_await ending(readers[2]), "value");
    EXPECT_TRUE(q.empty());
  });
}

TEST_P(Queue, Q_11_ACancelledPutterPutsNothing) {
  run([]() -> h::task<> {
    h::queue<int> q(1);
    q.put_nowait(1);
    auto t = h::create_task(put_one(q, 2));
    co_await until_waiting(t);
    t.cancel();
    EXPECT_EQ(co_await ending(t), "cancelled");
    EXPECT_EQ(q.get_nowait(), 1);
    EXPECT_TRUE(q.empty());
    EXPECT_TRUE(q.try_put(3));
  });
}

TEST_P(Queue, Q_12_PuttersPutInTheOrderInWhichTheyCame) {
  run([]() -> h::task<> {
    h::queue<int> q(1);
    q.put_nowait(0);
    std::vector<h::task_handle<void>> all;
    for (int i = 1; i <= 5; ++i) {
      all.push_back(h::create_task(put_one(q, i)));
      co_await until_waiting(all.back());
    }
    for (int i = 0; i <= 5; ++i) EXPECT_EQ(co_await q.get(), i);
    for (auto& t : all) co_await t;
  });
}

TEST_P(Queue, Q_14_APutterThatFindsItsPlaceTakenWaitsOn) {
  run([]() -> h::task<> {
    h::queue<int> q(1);
    q.put_nowait(0);
    auto t = h::create_task(put_one(q, 1));
    co_await until_waiting(t);
    EXPECT_EQ(q.get_nowait(), 0);
    const bool faster = q.try_put(2);  // always on one loop, where the putter has not run yet
    if (faster) { EXPECT_EQ(co_await q.get(), 2); }
    EXPECT_EQ(co_await q.get(), 1);
    co_await t;
  });
}

TEST_P(Queue, Q_15_APriorityQueueGivesWhatIsLeastWhenTheGetterLooks) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
    h::priority_queue<int> q;
    auto body = [](h::priority_queue<int>& qq) -> h::task<int> { co_return co_await qq.get(); };
    auto t = h::create_task(body(q));
    co_await until_waiting(t);
    q.put_nowait(5);
    q.put_nowait(1);
    const int got = co_await t;
    if (strict)
      EXPECT_EQ(got, 1);
    else
      EXPECT_TRUE(got == 1 || got == 5);
  });
}

TEST_P(Queue, Q_16_ProducersAndConsumersNeverGetStuck) {
  run([]() -> h::task<> {
    for (std::ptrdiff_t bound : {1, 2}) {
      h::queue<int> q(bound);
      auto produce = [](h::queue<int>& qq) -> h::task<> {
        for (int i = 0; i < 500; ++i) {
          co_await qq.put(i);
          if (i % 37 == 0) co_await h::yield_now();
        }
      };
      auto consume = [](h::queue<int>& qq) -> h::task<> {
        for (int i = 0; i < 500; ++i) (void)co_await qq.get();
      };
      std::vector<h::task_handle<void>> all;
      for (int i = 0; i < 4; ++i) {
        all.push_back(h::create_task(produce(q)));
        all.push_back(h::create_task(consume(q)));
      }
      for (auto& t : all) co_await t;
      EXPECT_TRUE(q.empty());
    }
  });
}

TEST_P(Queue, Q_17_JoinReturnsAfterTheLastTaskDone) {
  run([]() -> h::task<> {
    h::queue<int> q;
    co_await q.join();
    co_await q.join();
    for (int i = 0; i < 100; ++i) q.put_nowait(i);
    std::atomic<int> done{0};
    auto worker = [](h::queue<int>& qq, std::atomic<int>& n) -> h::task<> {
      for (;;) {
        (void)co_await qq.get();
        co_await h::yield_now();
        ++n;
        qq.task_done();
      }
    };
    auto a = h::create_task(worker(q, done));
    auto b = h::create_task(worker(q, done));
    co_await q.join();
    EXPECT_EQ(done, 100);
    a.cancel();
    b.cancel();
    EXPECT_EQ(co_await ending(a), "cancelled");
    EXPECT_EQ(co_await ending(b), "cancelled");
  });
}

TEST_P(Queue, Q_18_TaskDoneTooOftenIsABadValue) {
  run([]() -> h::task<> {
    h::queue<int> q;
    EXPECT_THROW(q.task_done(), h::bad_value);
    q.put_nowait(1);
    (void)q.get_nowait();
    q.task_done();
    EXPECT_THROW(q.task_done(), h::bad_value);
    co_return;
  });
}

TEST_P(Queue, Q_19_JoinStaysUntilWhatCameMeanwhileIsDoneToo) {
  run([]() -> h::task<> {
    h::queue<int> q;
    q.put_nowait(1);
    auto t = h::create_task(join(q));
    co_await until_waiting(t);
    (void)q.get_nowait();
    q.put_nowait(2);
    q.task_done();
    co_await settle();
    EXPECT_FALSE(t.done());
    (void)q.get_nowait();
    q.task_done();
    co_await t;
  });
}

TEST_P(Queue, Q_20_JoinReturnsOnceTheCountWasZero) {
  run([]() -> h::task<> {
    h::queue<int> q;
    q.put_nowait(1);
    auto t = h::create_task(join(q));
    co_await until_waiting(t);
    (void)q.get_nowait();
    q.task_done();
    q.put_nowait(2);
    co_await t;
  });
}

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

TEST_P(Queue, Q_21_ShutdownEndsGettersAndEverythingLater) {
  run([]() -> h::task<> {
    h::queue<int> q;
    auto t = h::create_task(get_one(q));
    co_await until_waiting(t);
    EXPECT_FALSE(q.is_shut_down());
    q.shutdown();
    EXPECT_TRUE(q.is_shut_down());
    EXPECT_EQ(co_await ending(t), h::queue_shut_down().what());
    EXPECT_THROW(q.put_nowait(1), h::queue_shut_down);
    EXPECT_THROW((void)q.get_nowait(), h::queue_shut_down);
    EXPECT_THROW(co_await q.put(1), h::queue_shut_down);
    EXPECT_THROW((void)co_await q.get(), h::queue_shut_down);
    EXPECT_FALSE(q.try_put(1));
    EXPECT_EQ(q.try_get(), std::nullopt);
    co_await q.join();
  });
}

TEST_P(Queue, Q_22_AGracefulShutdownLetsWhatIsThereBeGot) {
  run([]() -> h::task<> {
    h::queue<int> q(2);
    q.put_nowait(1);
    q.put_nowait(2);
    auto a = h::create_task(put_one(q, 3));
    auto b = h::create_task(put_one(q, 4));
    co_await until_waiting(a);
    co_await until_waiting(b);
    auto j = h::create_task(join(q));
    co_await until_waiting(j);
    q.shutdown();
    EXPECT_EQ(co_await ending(a), h::queue_shut_down().what());
    EXPECT_EQ(co_await ending(b), h::queue_shut_down().what());
    EXPECT_EQ(co_await q.get(), 1);
    EXPECT_EQ(co_await q.get(), 2);
    EXPECT_THROW((void)co_await q.get(), h::queue_shut_down);
    q.task_done();
    EXPECT_FALSE(j.done());
    q.task_done();
    co_await j;
  });
}

TEST_P(Queue, Q_26_AnImmediateShutdownDropsWhatIsThere) {
  run([]() -> h::task<> {
    h::queue<int> q;
    q.put_nowait(1);
    q.put_nowait(2);
    (void)q.get_nowait();
    auto j = h::create_task(join(q));
    co_await until_waiting(j);
    q.shutdown(true);
    EXPECT_TRUE(q.empty());
    co_await settle();
    EXPECT_FALSE(j.done());
    q.task_done();
    co_await j;
    EXPECT_THROW(q.task_done(), h::bad_value);
  });
}

TEST_P(Queue, Q_27_ShutdownTwiceIsHarmless) {
  run([]() -> h::task<> {
    h::queue<std::shared_ptr<int>> q;
    auto item = std::make_shared<int>(1);
    q.put_nowait(item);
    q.shutdown();
    EXPECT_EQ(q.size(), 1u);
    q.shutdown(true);
    EXPECT_EQ(q.size(), 0u);
    EXPECT_EQ(item.use_count(), 1);
    co_await q.join();
  });
}

TEST_P(Queue, Q_28_EachItemArrivesOnceAndEachProducersInOrder) {
  run([]() -> h::task<> {
    constexpr int producers = 8, consumers = 8, each = 5'000;
    struct item {
      int producer;
      int number;
    };
    h::queue<item> q(4);
    std::atomic<int> wrong{0}, received{0};
    auto produce = [](h::queue<item>& qq, int who) -> h::task<> {
      for (int i = 0; i < each; ++i) {
        const item next{who, i};
        co_await qq.put(next);
      }
    };
    auto consume = [](h::queue<item>& qq, std::atomic<int>& bad, std::atomic<int>& n) -> h::task<> {
      int last[producers];
      for (int& l : last) l = -1;
      try {
        for (;;) {
          const auto got = co_await qq.get();
          if (got.number <= last[got.producer]) ++bad;
          last[got.producer] = got.number;
          ++n;
        }
      } catch (const h::queue_shut_down&) {}
    };
    std::vector<h::task_handle<void>> makers, takers;
    for (int i = 0; i < consumers; ++i)
      takers.push_back(h::create_task(consume(q, wrong, received)));
    for (int i = 0; i < producers; ++i) makers.push_back(h::create_task(produce(q, i)));
    for (auto& t : makers) co_await t;
    q.shutdown();
    for (auto& t : takers) co_await t;
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(received, producers * each);
  });
}

TEST_P(Queue, Q_30_AShutdownInTheMiddleLosesNothingAndStrandsNobody) {
  const bool kinds[] = {false, true};
  for (bool immediate : kinds)
    run([immediate]() -> h::task<> {
      h::queue<std::shared_ptr<int>> q(4);
      auto token = std::make_shared<int>(0);
      std::atomic<long> put{0}, got{0};
      auto produce = [](h::queue<std::shared_ptr<int>>& qq, std::shared_ptr<int> item,
                        std::atomic<long>& n) -> h::task<> {
        try {
          for (;;) {
            co_await qq.put(item);
            ++n;
          }
        } catch (const h::queue_shut_down&) {}
      };
      auto consume = [](h::queue<std::shared_ptr<int>>& qq, std::atomic<long>& n) -> h::task<> {
        try {
          for (;;) {
            (void)co_await qq.get();
            ++n;
            qq.task_done();
          }
        } catch (const h::queue_shut_down&) {}
      };
      std::vector<h::task_handle<void>> all;
      for (int i = 0; i < 8; ++i) {
        all.push_back(h::create_task(produce(q, token, put)));
        all.push_back(h::create_task(consume(q, got)));
      }
      co_await until([&] { return got > 2'000; });
      q.shutdown(immediate);
      for (auto& t : all) co_await t;
      co_await q.join();
      if (immediate)
        EXPECT_LE(got, put);
      else
        EXPECT_EQ(got, put);
      all.clear();
      EXPECT_TRUE(q.empty());
      EXPECT_EQ(token.use_count(), 1) << "no item is left anywhere";
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
