// SPDX-License-Identifier: MIT
// COND of the conformance list, and shared_mutex.
#include "sync_support.h"

#include <heddle/sync/condition.h>
#include <heddle/sync/shared_mutex.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace support;

class Condition : public on_loops {};
RUN_ON_LOOPS(Condition);

h::task<> wait_and_note(h::condition& c, std::string& log, char who) {
  const auto guard = co_await c.scoped_lock();
  EXPECT_TRUE(co_await c.wait());
  EXPECT_TRUE(c.locked());
  log += who;  // guarded by the lock
}

/// Starts waiters, each in the queue before the next.
h::task<std::vector<h::task_handle<void>>> start(h::condition& c, std::string& log,
                                                 const char* names) {
  std::vector<h::task_handle<void>> all;
  for (const char* n = names; *n; ++n) {
    all.push_back(h::create_task(wait_and_note(c, log, *n)));
    co_await until_waiting(all.back());
    co_await until([&] { return !c.locked(); });
  }
  co_return all;
}

TEST_P(Condition, COND_01_NotifyWakesTheOldestOnceTheLockIsFree) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    auto all = co_await start(c, log, "abc");
    co_await c.lock();
    c.notify();
    co_await settle();
    EXPECT_EQ(log, "") << "the lock is held";
    c.unlock();
    co_await all[0];
    co_await settle();
    EXPECT_EQ(log, "a");
    co_await c.lock();
    c.notify_all();
    c.unlock();
    for (auto& t : all) co_await t;
    EXPECT_EQ(log.size(), 3u);
  });
}

TEST_P(Condition, COND_02_NotifyingMoreThanWaitOrAllWakesAll) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    for (int round = 0; round < 2; ++round) {
      log.clear();
      auto all = co_await start(c, log, "abc");
      {
        const auto guard = co_await c.scoped_lock();
        if (round == 0)
          c.notify(2048);
        else
          c.notify_all();
      }
      for (auto& t : all) co_await t;
      EXPECT_EQ(log.size(), 3u);
      EXPECT_FALSE(c.locked());
    }
  });
}

TEST_P(Condition, COND_03_WithoutTheLockItIsAnError) {
  run([]() -> h::task<> {
    h::condition c;
    EXPECT_THROW(c.notify(), h::usage_error);
    EXPECT_THROW(c.notify_all(), h::usage_error);
    EXPECT_THROW(co_await c.wait(), h::usage_error);
  });
}

TEST_P(Condition, COND_04_WaitForStaysUntilThePredicateHoldsAndYieldsIt) {
  run([]() -> h::task<> {
    h::condition c;
    int value = 0, looks = 0, result = 0;
    auto body = [](h::condition& cc, int& v, int& n, int& r) -> h::task<> {
      const auto guard = co_await cc.scoped_lock();
      r = co_await cc.wait_for([&v, &n] {
        ++n;
        return v;
      });
    };
    auto t = h::create_task(body(c, value, looks, result));
    co_await until_waiting(t);
    {
      const auto guard = co_await c.scoped_lock();
      c.notify();
    }
    co_await until([&] { return !c.locked(); });
    co_await settle();
    EXPECT_FALSE(t.done());
    {
      const auto guard = co_await c.scoped_lock();
      EXPECT_GE(looks, 1);
      value = 7;
      c.notify();
    }
    co_await t;
    EXPECT_EQ(result, 7);
    EXPECT_EQ(co_await c.wait_for([] { return 3; }), 3) << "true at once needs no lock";
  });
}

TEST_P(Condition, COND_05_WhatThePredicateThrowsLeavesWithTheLockHeld) {
  run([]() -> h::task<> {
    h::condition c;
    co_await c.lock();
    EXPECT_THROW(co_await c.wait_for([]() -> bool { throw std::runtime_error("no"); }),
                 std::runtime_error);
    EXPECT_TRUE(c.locked());
    c.unlock();
  });
}

TEST_P(Condition, COND_06_WhoComesAfterANotifyIsNotWokenByIt) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    auto first = co_await start(c, log, "a");
    {
      const auto guard = co_await c.scoped_lock();
      c.notify_all();
    }
    auto late = co_await start(c, log, "b");
    co_await first[0];
    co_await settle();
    EXPECT_EQ(log, "a");
    EXPECT_FALSE(late[0].done());
    {
      const auto guard = co_await c.scoped_lock();
      c.notify();
    }
    co_await late[0];
  });
}

TEST_P(Condition, COND_07_ACancelledWaiterTakesTheLockAgainBeforeItThrows) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    auto all = co_await start(c, log, "a");
    co_await c.lock();
    all[0].cancel();
    co_await settle();
    EXPECT_FALSE(all[0].done()) << "the lock is held";
    c.unlock();
    EXPECT_EQ(co_await ending(all[0]), "cancelled");
    EXPECT_FALSE(c.locked());
    EXPECT_EQ(log, "");
  });
}

TEST_P(Condition, COND_11_TheLatestCancellationIsTheOneThatIsThrown) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    auto all = co_await start(c, log, "a");
    co_await c.lock();
    all[0].cancel("in the wait");
    co_await until_waiting(all[0]);  // now it waits for the lock
    all[0].cancel("in the lock");
    co_await settle();
    EXPECT_FALSE(all[0].done());
    c.unlock();
    EXPECT_EQ(co_await ending(all[0]), "cancelled: in the lock");
  });
}

TEST_P(Condition, COND_13_TwoConditionsOfOneLockAreIndependent) {
  run([]() -> h::task<> {
    h::mutex m;
    h::condition a(m), b(m);
    std::string log;
    auto wa = co_await start(a, log, "a");
    auto wb = co_await start(b, log, "b");
    {
      const auto guard = co_await m.scoped_lock();
      a.notify_all();
    }
    co_await wa[0];
    co_await settle();
    EXPECT_EQ(log, "a");
    {
      const auto guard = co_await m.scoped_lock();
      b.notify_all();
    }
    co_await wb[0];
  });
}

TEST_P(Condition, COND_14_CancelledWhileItTakesTheLockAgainItHoldsItWhenItThrows) {
  run([]() -> h::task<> {
    h::condition c;
    bool held_at_end = false;
    auto body = [](h::condition& cc, bool& held) -> h::task<> {
      co_await cc.lock();
      try {
        co_await cc.wait();
      } catch (const h::cancelled_error&) { held = cc.locked(); }
      cc.unlock();
    };
    auto t = h::create_task(body(c, held_at_end));
    co_await until_waiting(t);
    co_await c.lock();
    c.notify();
    co_await until_waiting(t);
    t.cancel();
    c.unlock();
    (void)co_await ending(t);
    EXPECT_TRUE(held_at_end);
    EXPECT_FALSE(c.locked());
  });
}

TEST_P(Condition, ANotificationOfACancelledWaiterReachesTheNext) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    auto all = co_await start(c, log, "ab");
    co_await c.lock();
    c.notify();
    all[0].cancel();
    c.unlock();
    EXPECT_EQ(co_await ending(all[0]), "cancelled");
    co_await all[1];
    EXPECT_EQ(log, "b");
  });
}

class SharedMutex : public on_loops {};
RUN_ON_LOOPS(SharedMutex);

h::task<> read(h::shared_mutex& m, h::promise<> go, std::atomic<int>& inside, h::future<> leave) {
  const auto guard = co_await m.scoped_lock_shared();
  ++inside;
  go.set_value();
  co_await leave;
  --inside;
}

TEST_P(SharedMutex, ReadersShareAndAWriterIsAlone) {
  run([]() -> h::task<> {
    h::shared_mutex m;
    co_await m.lock_shared();
    EXPECT_TRUE(m.try_lock_shared());
    EXPECT_FALSE(m.try_lock());
    m.unlock_shared();
    m.unlock_shared();
    EXPECT_THROW(m.unlock_shared(), h::usage_error);
    EXPECT_THROW(m.unlock(), h::usage_error);
    {
      const auto guard = co_await m.scoped_lock();
      EXPECT_FALSE(m.try_lock_shared());
      EXPECT_FALSE(m.try_lock());
    }
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

TEST_P(SharedMutex, AReaderBehindAWaitingWriterWaits) {
  run([]() -> h::task<> {
    h::shared_mutex m;
    std::string log;
    auto writer = [](h::shared_mutex& mm, std::string& l) -> h::task<> {
      const auto guard = co_await mm.scoped_lock();
      l += 'w';
    };
    auto reader = [](h::shared_mutex& mm, std::string& l) -> h::task<> {
      const auto guard = co_await mm.scoped_lock_shared();
      l += 'r';
    };
    co_await m.lock_shared();
    auto w = h::create_task(writer(m, log));
    co_await until_waiting(w);
    auto r = h::create_task(reader(m, log));
    co_await until_waiting(r);
    EXPECT_FALSE(m.try_lock_shared());
    m.unlock_shared();
    co_await w;
    co_await r;
    EXPECT_EQ(log, "wr");
  });
}

TEST_P(SharedMutex, ReadersBehindACancelledWriterGoOnAtOnce) {
  run([]() -> h::task<> {
    h::shared_mutex m;
    co_await m.lock_shared();
    auto writer = [](h::shared_mutex& mm) -> h::task<> {
      const auto guard = co_await mm.scoped_lock();
    };
    auto w = h::create_task(writer(m));
    co_await until_waiting(w);
    h::promise<> in, out;
    std::atomic<int> inside{0};
    auto entered = in.get_future();
    auto r = h::create_task(read(m, std::move(in), inside, out.get_future()));
    co_await until_waiting(r);
    w.cancel();
    co_await entered;
    EXPECT_EQ(inside, 1);
    out.set_value();
    co_await r;
    EXPECT_EQ(co_await ending(w), "cancelled");
    m.unlock_shared();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

TEST_P(SharedMutex, WritersAreAloneUnderRandomCancellations) {
  const auto seed = test_seed();
  SCOPED_TRACE("HEDDLE_TEST_SEED=" + std::to_string(seed));
  run([seed]() -> h::task<> {
    h::shared_mutex m;
    std::atomic<int> readers{0}, writers{0}, wrong{0};
    auto body = [](h::shared_mutex& mm, std::atomic<int>& r, std::atomic<int>& w,
                   std::atomic<int>& bad, bool writes) -> h::task<> {
      for (int i = 0; i < 40; ++i) {
        try {
          if (writes) {
            co_await mm.lock();
          } else {
            co_await mm.lock_shared();
          }
        } catch (const h::cancelled_error&) { continue; }
        if (writes) {
          if (++w != 1 || r != 0) ++bad;
        } else {
          ++r;
          if (w != 0) ++bad;
        }
        try {
          co_await h::yield_now();
        } catch (const h::cancelled_error&) {}
        if (writes) {
          --w;
          mm.unlock();
        } else {
          --r;
          mm.unlock_shared();
        }
      }
    };
    std::mt19937_64 random(seed);
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 24; ++i)
      all.push_back(h::create_task(body(m, readers, writers, wrong, i % 4 == 0)));
    for (int i = 0; i < 300; ++i) {
      all[random() % all.size()].cancel();
      co_await h::yield_now();
    }
    for (auto& t : all) (void)co_await ending(t);
    EXPECT_EQ(wrong, 0);
    EXPECT_TRUE(m.try_lock()) << "everybody has left";
    m.unlock();
  });
}

}  // namespace
