// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <support/condition_waiters.h>

#include <heddle/sync/condition.h>
#include <heddle/sync/mutex.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace conformance;
using support::start_waiters;
using support::wait_and_note;

CASES(COND);

TEST_P(COND, COND_01_NotifyWakesTheOldestOnceTheLockIsFree) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    auto all = co_await start_waiters(c, log, "abc");
    co_await c.lock();
    c.notify();
    co_await settle();
    EQUAL(log, "");
    c.unlock();
    co_await all[0];
    co_await settle();
    EQUAL(log, "a");
    co_await c.lock();
    c.notify_all();
    c.unlock();
    for (auto& t : all) co_await t;
    EQUAL(log.size(), 3u);
  });
}

TEST_P(COND, COND_02_NotifyingMoreThanWaitOrAllWakesAll) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    for (int round = 0; round < 2; ++round) {
      log.clear();
      auto all = co_await start_waiters(c, log, "abc");
      {
        const auto guard = co_await c.scoped_lock();
        if (round == 0)
          c.notify(2048);
        else
          c.notify_all();
      }
      for (auto& t : all) co_await t;
      EQUAL(log.size(), 3u);
      HOLDS(!c.locked());
    }
  });
}

TEST_P(COND, COND_03_WithoutTheLockItIsAnError) {
  run([]() -> h::task<> {
    h::condition c;
    THROWS(h::usage_error, c.notify());
    THROWS(h::usage_error, c.notify_all());
    auto wait = [](h::condition& cc) -> h::task<> { co_await cc.wait(); };
    EQUAL(co_await ending(wait(c)), "Usage");
  });
}

TEST_P(COND, COND_04_WaitForStaysUntilThePredicateHoldsAndYieldsIt) {
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
    HOLDS(!t.done());
    {
      const auto guard = co_await c.scoped_lock();
      HOLDS(looks >= 1);
      value = 7;
      c.notify();
    }
    co_await t;
    EQUAL(result, 7);
    EQUAL(co_await c.wait_for([] { return 3; }), 3);
  });
}

TEST_P(COND, COND_05_WhatThePredicateThrowsLeavesWithTheLockHeld) {
  run([]() -> h::task<> {
    h::condition c;
    auto body = [](h::condition& cc) -> h::task<> {
      co_await cc.wait_for([]() -> bool { throw error_e(); });
    };
    co_await c.lock();
    EQUAL(co_await ending(body(c)), "E");
    HOLDS(c.locked());
    c.unlock();

    // The same when it throws not at once but after a notification.
    bool throws = false, held = false;
    auto later = [](h::condition& cc, bool& now, bool& h) -> h::task<> {
      co_await cc.lock();
      try {
        co_await cc.wait_for([&now]() -> bool {
          if (now) throw error_f();
          return false;
        });
      } catch (const error_f&) { h = cc.locked(); }
      cc.unlock();
    };
    auto t = h::create_task(later(c, throws, held));
    co_await until_waiting(t);
    co_await c.lock();
    throws = true;
    c.notify();
    c.unlock();
    co_await t;
    HOLDS(held);
  });
}

TEST_P(COND, COND_06_WhoComesAfterANotifyIsNotWokenByIt) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    auto first = co_await start_waiters(c, log, "a");
    {
      const auto guard = co_await c.scoped_lock();
      c.notify_all();
    }
    auto late = co_await start_waiters(c, log, "b");
    co_await first[0];
    co_await settle();
    EQUAL(log, "a");
    HOLDS(!late[0].done());
    {
      const auto guard = co_await c.scoped_lock();
      c.notify();
    }
    co_await late[0];
  });
}

TEST_P(COND, COND_07_ACancelledWaiterTakesTheLockAgainBeforeItThrows) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    auto all = co_await start_waiters(c, log, "a");
    co_await c.lock();
    all[0].cancel();
    co_await settle();
    HOLDS(!all[0].done()) << "the lock is held";
    c.unlock();
    EQUAL(co_await ending(all[0]), "Cancelled");
    HOLDS(!c.locked());
    EQUAL(log, "");
  });
}

TEST_P(COND, COND_11_TheCancellationThatWasDeliveredLastIsTheOneThatIsThrown) {
  run([]() -> h::task<> {
    h::condition c;
    std::string log;
    auto one = co_await start_waiters(c, log, "a");
    co_await c.lock();
    one[0].cancel("in the wait");
    co_await until_waiting(one[0]);
    c.unlock();
    EQUAL(co_await ending(one[0]), "Cancelled: in the wait");

    auto all = co_await start_waiters(c, log, "b");
    co_await c.lock();
    all[0].cancel("in the wait");
    co_await until_waiting(all[0]);  // now it waits for the lock
    all[0].cancel("in the lock");
    co_await settle();
    HOLDS(!all[0].done());
    c.unlock();
    EQUAL(co_await ending(all[0]), "Cancelled: in the lock");
    EQUAL(log, "");
  });
}

TEST_P(COND, COND_13_TwoConditionsOfOneLockAreIndependent) {
  run([]() -> h::task<> {
    h::mutex m;
    h::condition a(m), b(m);
    std::string log;
    auto wa = co_await start_waiters(a, log, "a");
    auto wb = co_await start_waiters(b, log, "b");
    {
      const auto guard = co_await m.scoped_lock();
      a.notify_all();
    }
    co_await wa[0];
    co_await settle();
    EQUAL(log, "a");
    {
      const auto guard = co_await m.scoped_lock();
      b.notify_all();
    }
    co_await wb[0];
  });
}

TEST_P(COND, COND_14_CancelledWhileItTakesTheLockAgainItHoldsItWhenItThrows) {
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
    HOLDS(held_at_end);
    HOLDS(!c.locked());
  });
}

}  // namespace
