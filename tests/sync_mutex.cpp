// SPDX-License-Identifier: MIT
// LOCK of the conformance list.
#include "sync_support.h"

#include <heddle/sync/mutex.h>

#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using namespace support;

class Mutex : public on_loops {};
RUN_ON_LOOPS(Mutex);

h::task<> lock_and_note(h::mutex& m, std::string& log, char who) {
  co_await m.lock();
  log += who;
}
h::task<> lock_note_unlock(h::mutex& m, std::string& log, char who) {
  const auto guard = co_await m.scoped_lock();
  log += who;
}

TEST_P(Mutex, LOCK_01_AFreeLockIsTakenAtOnce) {
  run([]() -> h::task<> {
    h::mutex m;
    EXPECT_FALSE(m.locked());
    co_await m.lock();
    EXPECT_TRUE(m.locked());
    EXPECT_FALSE(m.try_lock());
    m.unlock();
    EXPECT_FALSE(m.locked());
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

TEST_P(Mutex, LOCK_02_ItIsHandedOverOneAtATimeInTheOrderOfAsking) {
  run([]() -> h::task<> {
    h::mutex m;
    std::string log;
    co_await m.lock();
    std::vector<h::task_handle<void>> all;
    for (char c : {'1', '2', '3'}) {
      all.push_back(h::create_task(lock_and_note(m, log, c)));
      co_await until_waiting(all.back());
    }
    EXPECT_EQ(log, "");
    for (auto& t : all) {
      m.unlock();
      EXPECT_TRUE(m.locked());
      co_await t;
    }
    EXPECT_EQ(log, "123");
    m.unlock();
  });
}

TEST_P(Mutex, LOCK_03_UnlockingAFreeLockIsAnError) {
  run([]() -> h::task<> {
    h::mutex m;
    EXPECT_THROW(m.unlock(), h::usage_error);
    co_await m.lock();
    m.unlock();
    EXPECT_THROW(m.unlock(), h::usage_error);
  });
}

TEST_P(Mutex, LOCK_04_AGuardUnlocksWhenTheBodyThrows) {
  run([]() -> h::task<> {
    h::mutex m;
    auto body = [](h::mutex& mm) -> h::task<> {
      const auto guard = co_await mm.scoped_lock();
      throw std::runtime_error("out");
    };
    std::string what;
    try {
      co_await body(m);
    } catch (const std::runtime_error& e) { what = e.what(); }
    EXPECT_EQ(what, "out");
    EXPECT_FALSE(m.locked());
  });
}

TEST_P(Mutex, LOCK_05_ACancelledWaiterLeavesTheQueueAndTheLockAsItWas) {
  run([]() -> h::task<> {
    h::mutex m;
    std::string log;
    co_await m.lock();
    auto t = h::create_task(lock_and_note(m, log, 'x'));
    co_await until_waiting(t);
    EXPECT_TRUE(t.cancel("go away"));
    EXPECT_EQ(co_await ending(t), "cancelled: go away");
    EXPECT_TRUE(m.locked());
    m.unlock();
    EXPECT_FALSE(m.locked());
    EXPECT_EQ(log, "");
  });
}

TEST_P(Mutex, LOCK_07_TheOneBehindACancelledWaiterGetsIt) {
  run([]() -> h::task<> {
    h::mutex m;
    std::string log;
    co_await m.lock();
    auto b = h::create_task(lock_note_unlock(m, log, 'b'));
    co_await until_waiting(b);
    auto c = h::create_task(lock_note_unlock(m, log, 'c'));
    co_await until_waiting(c);
    b.cancel();
    m.unlock();
    co_await c;
    EXPECT_EQ(co_await ending(b), "cancelled");
    EXPECT_EQ(log, "c");
    EXPECT_FALSE(m.locked());
  });
}

TEST_P(Mutex, ACancellationAfterTheHandOverPassesTheLockOn) {
  run([]() -> h::task<> {
    h::mutex m;
    std::string log;
    co_await m.lock();
    auto b = h::create_task(lock_note_unlock(m, log, 'b'));
    co_await until_waiting(b);
    auto c = h::create_task(lock_note_unlock(m, log, 'c'));
    co_await until_waiting(c);
    m.unlock();
    const bool took = b.cancel();
    co_await c;
    const auto how = co_await ending(b);
    // On one loop b has not run between the two; on several it may have been through already.
    EXPECT_EQ(how == "cancelled" ? "c" : "bc", log);
    EXPECT_TRUE(took || how == "value");
    EXPECT_FALSE(m.locked());
  });
}

TEST_P(Mutex, LOCK_10_WhenAllWaitersWereCancelledANewcomerGetsItAtOnce) {
  run([]() -> h::task<> {
    h::mutex m;
    std::string log;
    co_await m.lock();
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 3; ++i) {
      all.push_back(h::create_task(lock_and_note(m, log, 'x')));
      co_await until_waiting(all.back());
    }
    for (auto& t : all) t.cancel();
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    for (auto& t : all) EXPECT_EQ(co_await ending(t), "cancelled");
    m.unlock();
    EXPECT_EQ(log, "");
  });
}

TEST_P(Mutex, LOCK_11_AnotherTaskMayUnlock) {
  run([]() -> h::task<> {
    h::mutex m;
    co_await m.lock();
    auto other = [](h::mutex& mm) -> h::task<> {
      mm.unlock();
      co_return;
    };
    co_await h::create_task(other(m));
    EXPECT_FALSE(m.locked());
  });
}

TEST_P(Mutex, LOCK_13_ARequestThatTimedOutTakesNothing) {
  run([]() -> h::task<> {
    h::mutex m;
    co_await m.lock();
    auto limited = h::timeout(2ms, [&m]() -> h::task<> { co_await m.lock(); });
    bool timed_out = false;
    try {
      co_await std::move(limited);
    } catch (const h::timeout_error&) { timed_out = true; }
    EXPECT_TRUE(timed_out);
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

TEST_P(Mutex, LOCK_14_SixtyFourTasksCountExactly) {
  run([]() -> h::task<> {
    h::mutex m;
    long count = 0;
    int inside = 0, too_many = 0;
    auto body = [](h::mutex& mm, long& n, int& in, int& many) -> h::task<> {
      for (int i = 0; i < 50; ++i) {
        const auto guard = co_await mm.scoped_lock();
        if (++in > 1) ++many;
        const long before = n;
        if (i % 7 == 0) co_await h::yield_now();
        n = before + 1;
        --in;
      }
    };
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 64; ++i) all.push_back(h::create_task(body(m, count, inside, too_many)));
    for (auto& t : all) co_await t;
    EXPECT_EQ(count, 64 * 50);
    EXPECT_EQ(too_many, 0);
  });
}

TEST_P(Mutex, ItMayLiveInTheFrameOfTheTaskThatGetsItLast) {
  run([]() -> h::task<> {
    for (int i = 0; i < 300; ++i) {
      h::mutex m;
      co_await m.lock();
      auto other = [](h::mutex& mm) -> h::task<> {
        mm.unlock();
        co_return;
      };
      auto t = h::create_task(other(m));
      co_await m.lock();  // handed over by the other, which may not have left unlock() yet
      m.unlock();
    }
  });
}

TEST(MutexGuard, MovingAGuardMovesTheDutyToUnlock) {
  using guard = h::mutex::guard;
  static_assert(!std::is_copy_constructible_v<guard> && !std::is_copy_assignable_v<guard>);
  h::mutex a, b;
  ASSERT_TRUE(a.try_lock());
  ASSERT_TRUE(b.try_lock());
  guard ga(a), gb(b);
  ga = std::move(gb);
  EXPECT_FALSE(a.locked()) << "assigning unlocks what was held";
  EXPECT_TRUE(b.locked());
  EXPECT_FALSE(gb.owns_lock());
  guard* self = &ga;
  ga = std::move(*self);
  EXPECT_TRUE(b.locked());
  ga.unlock();
  EXPECT_FALSE(b.locked());
}

}  // namespace
