// SPDX-License-Identifier: MIT
// COND of the conformance list, and shared_mutex.
#include "sync/support.h"

#include <support/condition_waiters.h>

#include <heddle/sync/condition.h>
#include <heddle/sync/shared_mutex.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace support;

class Condition : public at_loops {};
HEDDLE_AT_LOOPS(Condition);

TEST_P(Condition, ANotificationOfACancelledWaiterReachesTheNext) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    auto all = co_await start_waiters(c, log, "ab");
    co_await c.lock();
    c.notify();
    all[0].cancel();
    c.unlock();
    EXPECT_EQ(co_await ending(all[0]), "cancelled");
    co_await all[1];
    EXPECT_EQ(log, "b");
  });
}

TEST_P(Condition, AWaitForEndsWhenItsPredicateHolds) {
  run([]() -> h::task<> {
    h::condition c;
    bool ready = false;
    auto body = [](h::condition& c, bool& ready) -> h::task<> {
      const auto guard = co_await c.scoped_lock();
      co_await c.wait_for([&ready] { return ready; });
      EXPECT_TRUE(ready);
      EXPECT_TRUE(c.locked());
    };
    auto t = h::create_task(body(c, ready));
    co_await until_waiting(t);
    for (const bool now : {false, true}) {
      co_await settle();
      EXPECT_FALSE(t.done());
      co_await c.lock();
      ready = now;
      c.notify();
      c.unlock();
    }
    co_await t;
  });
}

class SharedMutex : public at_loops {};
HEDDLE_AT_LOOPS(SharedMutex);

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
