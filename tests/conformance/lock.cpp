// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/sync/mutex.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace conformance;

CASES(LOCK);

h::task<> lock_and_note(h::mutex& m, std::string& log, char who) {
  co_await m.lock();
  log += who;
}
h::task<> lock_note_unlock(h::mutex& m, std::string& log, char who) {
  const auto guard = co_await m.scoped_lock();
  log += who;
}

TEST_P(LOCK, LOCK_01_AFreeLockIsTakenAtOnce) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
    h::mutex m;
    bool others_ran = false;
    auto other = h::create_task(
        [](bool& ran) -> h::task<> {
          ran = true;
          co_return;
        },
        std::ref(others_ran));
    HOLDS(!m.locked());
    co_await m.lock();
    HOLDS(m.locked());
    if (strict) HOLDS(!others_ran) << "it did not suspend";
    HOLDS(!m.try_lock());
    co_await other;
    m.unlock();
    HOLDS(!m.locked());
  });
}

TEST_P(LOCK, LOCK_02_ItIsHandedOverOneAtATimeInTheOrderOfAsking) {
  run([]() -> h::task<> {
    h::mutex m;
    std::string log;
    co_await m.lock();
    std::vector<h::task_handle<void>> all;
    for (char c : {'1', '2', '3'}) {
      all.push_back(h::create_task(lock_and_note(m, log, c)));
      co_await until_waiting(all.back());
    }
    EQUAL(log, "");
    for (auto& t : all) {
      m.unlock();
      HOLDS(m.locked());
      co_await t;
    }
    EQUAL(log, "123");
    m.unlock();
  });
}

TEST_P(LOCK, LOCK_03_UnlockingAFreeLockIsAnError) {
  run([]() -> h::task<> {
    h::mutex m;
    THROWS(h::usage_error, m.unlock());
    co_await m.lock();
    m.unlock();
    THROWS(h::usage_error, m.unlock());
  });
}

TEST_P(LOCK, LOCK_04_AGuardUnlocksWhenTheBodyThrows) {
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
    EQUAL(what, "out");
    HOLDS(!m.locked());
  });
}

TEST_P(LOCK, LOCK_05_ACancelledWaiterLeavesTheQueueAndTheLockAsItWas) {
  run([]() -> h::task<> {
    h::mutex m;
    std::string log;
    co_await m.lock();
    auto t = h::create_task(lock_and_note(m, log, 'x'));
    co_await until_waiting(t);
    HOLDS(t.cancel("go away"));
    EQUAL(co_await ending(t), "Cancelled: go away");
    HOLDS(m.locked());
    m.unlock();
    HOLDS(!m.locked());
    EQUAL(log, "");
  });
}

TEST_P(LOCK, LOCK_07_TheOneBehindACancelledWaiterGetsIt) {
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
    EQUAL(co_await ending(b), "Cancelled");
    EQUAL(log, "c");
    HOLDS(!m.locked());
  });
}

TEST_P(LOCK, LOCK_10_WhenAllWaitersWereCancelledANewcomerGetsItAtOnce) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
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
    HOLDS(!m.locked());
    co_await m.lock();
    if (strict)
      for (auto& t : all) HOLDS(!t.done()) << "it did not suspend";
    HOLDS(m.locked());
    for (auto& t : all) EQUAL(co_await ending(t), "Cancelled");
    m.unlock();
    EQUAL(log, "");
  });
}

TEST_P(LOCK, LOCK_11_AnotherTaskMayUnlock) {
  run([]() -> h::task<> {
    h::mutex m;
    co_await m.lock();
    auto other = [](h::mutex& mm) -> h::task<> {
      mm.unlock();
      co_return;
    };
    co_await h::create_task(other(m));
    HOLDS(!m.locked());
  });
}

TEST_P(LOCK, LOCK_13_ARequestThatTimedOutTakesNothing) {
  run([]() -> h::task<> {
    h::mutex m;
    co_await m.lock();
    auto ask = [](h::mutex& mm) -> h::task<> { co_await mm.lock(); };
    EQUAL(co_await ending(h::wait_for(ask(m), 2ms)), "Timeout");
    m.unlock();
    HOLDS(m.try_lock());
    m.unlock();
  });
}

TEST_P(LOCK, LOCK_14_SixtyFourTasksCountExactly) {
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
    EQUAL(count, 64 * 50);
    EQUAL(too_many, 0);
  });
}

}  // namespace
