// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/sync/queue.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace conformance;

CASES(Q);

h::task<int> get_one(h::queue<int>& q) { co_return co_await q.get(); }
h::task<> put_one(h::queue<int>& q, int item) { co_await q.put(item); }
h::task<> join(h::queue<int>& q) { co_await q.join(); }

TEST_P(Q, Q_01_FirstLatestOrLeastFirst) {
  run([]() -> h::task<> {
    h::queue<int> fifo;
    h::lifo_queue<int> lifo;
    h::priority_queue<int> least;
    for (int i : {1, 3, 2}) {
      co_await fifo.put(i);
      co_await lifo.put(i);
      co_await least.put(i);
    }
    for (int i : {1, 3, 2}) EQUAL(co_await fifo.get(), i);
    for (int i : {2, 3, 1}) EQUAL(co_await lifo.get(), i);
    for (int i : {1, 2, 3}) EQUAL(co_await least.get(), i);
  });
}

TEST_P(Q, Q_02_APutterWaitsWhileItIsFull) {
  run([]() -> h::task<> {
    h::queue<int> q(2);
    auto body = [](h::queue<int>& qq) -> h::task<> {
      for (int i = 0; i < 3; ++i) co_await qq.put(i);
    };
    auto t = h::create_task(body(q));
    co_await until_waiting(t);
    HOLDS(q.full());
    EQUAL(q.size(), 2u);
    EQUAL(co_await q.get(), 0);
    co_await t;
    EQUAL(q.size(), 2u);
  });
}

TEST_P(Q, Q_03_WithoutAPositiveBoundItIsNeverFull) {
  run([]() -> h::task<> {
    h::queue<int> zero(0), negative(-5);
    for (int i = 0; i < 1000; ++i) {
      co_await zero.put(i);
      co_await negative.put(i);
    }
    HOLDS(!zero.full());
    HOLDS(!negative.full());
    EQUAL(negative.size(), 1000u);
    for (int i = 0; i < 1000; ++i) EQUAL(zero.get_nowait(), i);
  });
}

TEST_P(Q, Q_04_TheFormsThatDoNotWaitThrowOrSayNo) {
  run([]() -> h::task<> {
    h::queue<int> q(1);
    THROWS(h::queue_empty, q.get_nowait());
    EQUAL(q.try_get(), std::nullopt);
    q.put_nowait(1);
    THROWS(h::queue_full, q.put_nowait(2));
    HOLDS(!q.try_put(2));
    EQUAL(q.get_nowait(), 1);
    HOLDS(q.try_put(3));
    EQUAL(q.try_get(), 3);
    co_return;
  });
}

TEST_P(Q, Q_05_AGetterThatTimedOutLeavesNothingBehind) {
  run([]() -> h::task<> {
    h::queue<int> q;
    auto waiting = h::create_task(get_one(q));
    co_await until_waiting(waiting);
    q.put_nowait(1);
    EQUAL(co_await waiting, 1);
    EQUAL(co_await ending(h::wait_for(get_one(q), 1ms)), "Timeout");
    q.put_nowait(2);
    EQUAL(q.size(), 1u);
  });
}

h::task<> get_and_tell(h::queue<int>& q, std::atomic<bool>& took) {
  (void)co_await q.get();
  took = true;
}

TEST_P(Q, Q_06_TheOneBehindACancelledGetterGetsTheItem) {
  run([]() -> h::task<> {
    h::queue<int> q;
    auto t1 = h::create_task(get_one(q));
    co_await until_waiting(t1);
    auto t2 = h::create_task(get_one(q));
    co_await until_waiting(t2);
    t1.cancel();
    EQUAL(co_await ending(t1), "Cancelled");
    q.put_nowait(7);
    EQUAL(co_await t2, 7);
  });
}

TEST_P(Q, Q_07_AnItemIsNotLostWithAGetterThatIsCancelledBeforeItLooks) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
    h::queue<int> q;
    auto t = h::create_task(get_one(q));
    co_await until_waiting(t);
    q.put_nowait(7);
    t.cancel();
    const auto how = co_await ending(t);
    HOLDS(!strict || how == "Cancelled");
    if (strict) EQUAL(q.size(), 1u);
    if (how == "value")
      EQUAL(t.result(), 7);
    else if (!q.empty())
      EQUAL(q.get_nowait(), 7);  // or the task had it already when its cancellation came
  });
}

TEST_P(Q, Q_09_TwoItemsReachTheTwoReadersThatWereNotCancelled) {
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
    // On several loops it may have been faster, and then cancelled all the same, between its take
    // and its end.
    if (took[0]) q.put_nowait(3);
    EQUAL(co_await ending(readers[1]), "value");
    EQUAL(co_await ending(readers[2]), "value");
    HOLDS(q.empty());
  });
}

TEST_P(Q, Q_11_ACancelledPutterPutsNothing) {
  run([]() -> h::task<> {
    h::queue<int> q(1);
    q.put_nowait(1);
    auto t = h::create_task(put_one(q, 2));
    co_await until_waiting(t);
    t.cancel();
    EQUAL(co_await ending(t), "Cancelled");
    EQUAL(q.get_nowait(), 1);
    HOLDS(q.empty());
    HOLDS(q.try_put(3));
  });
}

TEST_P(Q, Q_12_PuttersPutInTheOrderInWhichTheyCame) {
  run([]() -> h::task<> {
    h::queue<int> q(1);
    q.put_nowait(0);
    std::vector<h::task_handle<void>> all;
    for (int i = 1; i <= 5; ++i) {
      all.push_back(h::create_task(put_one(q, i)));
      co_await until_waiting(all.back());
    }
    for (int i = 0; i <= 5; ++i) EQUAL(co_await q.get(), i);
    for (auto& t : all) co_await t;
  });
}

TEST_P(Q, Q_14_APutterThatFindsItsPlaceTakenWaitsOn) {
  run([]() -> h::task<> {
    h::queue<int> q(1);
    q.put_nowait(0);
    auto t = h::create_task(put_one(q, 1));
    co_await until_waiting(t);
    EQUAL(q.get_nowait(), 0);
    const bool faster = q.try_put(2);  // always on one loop, where the putter has not run yet
    if (faster) { EQUAL(co_await q.get(), 2); }
    EQUAL(co_await q.get(), 1);
    co_await t;
  });
}

TEST_P(Q, Q_15_APriorityOrLifoQueueGivesWhatIsFirstWhenTheGetterLooks) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
    h::priority_queue<int> least;
    auto first = [](h::priority_queue<int>& qq) -> h::task<int> { co_return co_await qq.get(); };
    auto t = h::create_task(first(least));
    co_await until_waiting(t);
    least.put_nowait(5);
    least.put_nowait(1);
    const int got = co_await t;
    HOLDS(got == 1 || (!strict && got == 5));

    h::lifo_queue<char> latest;
    auto last = [](h::lifo_queue<char>& qq) -> h::task<char> { co_return co_await qq.get(); };
    auto u = h::create_task(last(latest));
    co_await until_waiting(u);
    latest.put_nowait('a');
    latest.put_nowait('b');
    const char which = co_await u;
    HOLDS(which == 'b' || (!strict && which == 'a'));
  });
}

TEST_P(Q, Q_16_ProducersAndConsumersNeverGetStuck) {
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
      HOLDS(q.empty());
    }
  });
}

TEST_P(Q, Q_17_JoinReturnsAfterTheLastTaskDone) {
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
    EQUAL(done, 100);
    a.cancel();
    b.cancel();
    EQUAL(co_await ending(a), "Cancelled");
    EQUAL(co_await ending(b), "Cancelled");
  });
}

TEST_P(Q, Q_18_TaskDoneTooOftenIsABadValue) {
  run([]() -> h::task<> {
    h::queue<int> q;
    THROWS(h::bad_value, q.task_done());
    q.put_nowait(1);
    (void)q.get_nowait();
    q.task_done();
    THROWS(h::bad_value, q.task_done());
    co_return;
  });
}

TEST_P(Q, Q_19_JoinStaysUntilWhatCameMeanwhileIsDoneToo) {
  run([]() -> h::task<> {
    h::queue<int> q;
    q.put_nowait(1);
    auto t = h::create_task(join(q));
    co_await until_waiting(t);
    (void)q.get_nowait();
    q.put_nowait(2);
    q.task_done();
    co_await settle();
    HOLDS(!t.done());
    (void)q.get_nowait();
    q.task_done();
    co_await t;
  });
}

TEST_P(Q, Q_20_JoinReturnsOnceTheCountWasZero) {
  run([]() -> h::task<> {
    h::queue<int> q;
    q.put_nowait(1);
    auto t = h::create_task(join(q));
    co_await until_waiting(t);
    (void)q.get_nowait();
    q.task_done();
    q.put_nowait(2);
    EQUAL(co_await ending(t), "value");
    EQUAL(q.size(), 1u);
  });
}

TEST_P(Q, Q_21_ShutdownEndsGettersAndEverythingLater) {
  run([]() -> h::task<> {
    h::queue<int> q;
    auto t = h::create_task(get_one(q));
    co_await until_waiting(t);
    HOLDS(!q.is_shut_down());
    q.shutdown();
    HOLDS(q.is_shut_down());
    EQUAL(co_await ending(t), "QShut");
    THROWS(h::queue_shut_down, q.put_nowait(1));
    THROWS(h::queue_shut_down, q.get_nowait());
    EQUAL(co_await ending(put_one(q, 1)), "QShut");
    EQUAL(co_await ending(get_one(q)), "QShut");
    HOLDS(!q.try_put(1));
    EQUAL(q.try_get(), std::nullopt);
    co_await q.join();
  });
}

TEST_P(Q, Q_22_AGracefulShutdownLetsWhatIsThereBeGot) {
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
    EQUAL(co_await ending(a), "QShut");
    EQUAL(co_await ending(b), "QShut");
    EQUAL(co_await q.get(), 1);
    EQUAL(co_await q.get(), 2);
    EQUAL(co_await ending(get_one(q)), "QShut");
    q.task_done();
    HOLDS(!j.done());
    q.task_done();
    co_await j;
  });
}

TEST_P(Q, Q_26_AnImmediateShutdownDropsWhatIsThere) {
  run([]() -> h::task<> {
    h::queue<int> q;
    q.put_nowait(1);
    q.put_nowait(2);
    (void)q.get_nowait();
    auto j = h::create_task(join(q));
    co_await until_waiting(j);
    q.shutdown(true);
    HOLDS(q.empty());
    co_await settle();
    HOLDS(!j.done());
    q.task_done();
    co_await j;
    THROWS(h::bad_value, q.task_done());
  });
}

TEST_P(Q, Q_27_ShutdownTwiceIsHarmless) {
  run([]() -> h::task<> {
    h::queue<std::shared_ptr<int>> q;
    auto item = std::make_shared<int>(1);
    q.put_nowait(item);
    q.shutdown();
    EQUAL(q.size(), 1u);
    q.shutdown(true);
    EQUAL(q.size(), 0u);
    EQUAL(item.use_count(), 1);
    co_await q.join();
  });
}

TEST_P(Q, Q_28_EachItemArrivesOnceAndEachProducersInOrder) {
  run([]() -> h::task<> {
    constexpr int producers = 8, consumers = 8;
    constexpr int each = rounds(125'000);
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
    EQUAL(wrong, 0);
    EQUAL(received, producers * each);
  });
}

TEST_P(Q, Q_30_AShutdownInTheMiddleLosesNothingAndStrandsNobody) {
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
        HOLDS(got <= put);
      else
        EQUAL(got, put);
      all.clear();
      HOLDS(q.empty());
      EQUAL(token.use_count(), 1);
    });
}

}  // namespace
