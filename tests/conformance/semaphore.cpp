// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/sync/semaphore.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace conformance;

CASES(SEM);

h::task<> take(h::semaphore& s, std::string& log, char who) {
  co_await s.acquire();
  log += who;
}
h::task<> take_into(h::semaphore& s, std::atomic<int>& count) {
  co_await s.acquire();
  ++count;
}

TEST_P(SEM, SEM_01_ThePermitsAreTakenAtOnceThenOneWaits) {
  run([]() -> h::task<> {
    h::semaphore s(3);
    for (int i = 0; i < 3; ++i) {
      HOLDS(!s.locked());
      co_await s.acquire();
    }
    HOLDS(s.locked());
    HOLDS(!s.try_acquire());
    std::string log;
    auto t = h::create_task(take(s, log, 'x'));
    co_await until_waiting(t);
    s.release();
    co_await t;
    EQUAL(log, "x");
  });
}

TEST_P(SEM, SEM_02_ANegativeInitialValueIsABadValue) {
  THROWS(h::bad_value, h::semaphore(-1));
  THROWS(h::bad_value, h::bounded_semaphore(-1));
  h::semaphore zero(0);
  HOLDS(zero.locked());
}

TEST_P(SEM, SEM_03_OnlyABoundedOneMindsAReleaseTooMany) {
  h::semaphore plain(1);
  plain.release();
  EQUAL(plain.value(), 2);
  plain.release(3);
  EQUAL(plain.value(), 5);
  THROWS(h::bad_value, plain.release(-1));
  h::bounded_semaphore bounded(2);
  THROWS(h::bad_value, bounded.release());
  HOLDS(bounded.try_acquire());
  THROWS(h::bad_value, bounded.release(2));
  EQUAL(bounded.value(), 1);
  bounded.release();
  EQUAL(bounded.value(), 2);
}

TEST_P(SEM, SEM_04_ANewcomerQueuesBehindOneThatWasGrantedAndHasNotRun) {
  run([]() -> h::task<> {
    h::semaphore s(0);
    std::string log;
    auto a = h::create_task(take(s, log, 'a'));
    co_await until_waiting(a);
    s.release();
    HOLDS(s.locked()) << "the permit is a's";
    HOLDS(!s.try_acquire());
    auto b = h::create_task(take(s, log, 'b'));
    co_await until_waiting(b);
    co_await a;
    HOLDS(!b.done());
    EQUAL(log, "a");
    s.release();
    co_await b;
    EQUAL(log, "ab");
  });
}

TEST_P(SEM, SEM_05_TwoReleasesLetExactlyTwoThrough) {
  run([]() -> h::task<> {
    h::semaphore s(0);
    std::atomic<int> through{0};
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 3; ++i) all.push_back(h::create_task(take_into(s, through)));
    for (auto& t : all) co_await until_waiting(t);
    s.release();
    s.release();
    co_await until([&] { return through == 2; });
    co_await settle();
    EQUAL(through, 2);
    s.release();
    for (auto& t : all) co_await t;
  });
}

TEST_P(SEM, SEM_06_TasksThatAlternateRotateInTheOrderOfAsking) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
    h::semaphore s(1);
    std::string log;
    auto body = [](h::semaphore& ss, std::string& l, char who) -> h::task<> {
      for (int i = 0; i < 2; ++i) {
        co_await ss.acquire();
        l += who;  // guarded by the permit
        co_await h::sleep(1ms);
        ss.release();
      }
    };
    co_await s.acquire();
    std::vector<h::task_handle<void>> all;
    for (char c : {'1', '2', '3'}) {
      all.push_back(h::create_task(body(s, log, c)));
      co_await until_waiting(all.back());
    }
    s.release();
    for (auto& t : all) co_await t;
    EQUAL(log.substr(0, 3), "123");  // the order in which they were queued
    if (strict) EQUAL(log, "123123");
    std::sort(log.begin(), log.end());
    EQUAL(log, "112233");
  });
}

TEST_P(SEM, SEM_07_TheOnesBehindACancelledRequestGetThePermits) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
    h::semaphore s(0);
    journal log;
    auto body = [](h::semaphore& ss, journal& l, int who) -> h::task<> {
      co_await ss.acquire();
      l.add(std::to_string(who));
    };
    std::vector<h::task_handle<void>> all;
    for (int i = 1; i <= 3; ++i) {
      all.push_back(h::create_task(body(s, log, i)));
      co_await until_waiting(all.back());
    }
    all[0].cancel();
    s.release();
    s.release();
    co_await all[1];
    co_await all[2];
    EQUAL(co_await ending(all[0]), "Cancelled");
    if (strict) EQUAL(log.joined(), "2 3");
    EQUAL(log.lines().size(), 2u);
    EQUAL(s.value(), 0);
  });
}

TEST_P(SEM, SEM_11_CancellingWhoWasJustGrantedReturnsThePermit) {
  const bool strict = one_loop();
  run([strict]() -> h::task<> {
    h::semaphore s(1);
    co_await s.acquire();
    std::string log;
    auto t2 = h::create_task(take(s, log, 'x'));
    co_await until_waiting(t2);
    s.release();
    t2.cancel();
    const auto how = co_await ending(t2);
    if (strict) EQUAL(how, "Cancelled");
    if (log == "x")
      s.release();  // on several loops it may have been through before
    else
      EQUAL(how, "Cancelled");
    auto again = [](h::semaphore& ss) -> h::task<> { co_await ss.acquire(); };
    EQUAL(co_await ending(h::wait_for(again(s), 10s)), "value");
    s.release();
    EQUAL(s.value(), 1);
  });
}

TEST_P(SEM, SEM_13_APermitThatStaysFreeServesWhoComesBehindOneThatWasGranted) {
  run([]() -> h::task<> {
    h::semaphore s(0);
    std::atomic<int> through{0};
    std::vector<h::task_handle<void>> all;
    all.push_back(h::create_task(take_into(s, through)));
    co_await until_waiting(all[0]);
    s.release(3);  // one goes to the waiter, who has not run yet; two stay free
    for (int i = 0; i < 4; ++i) all.push_back(h::create_task(take_into(s, through)));
    co_await until([&] { return through == 3; });
    co_await settle();
    EQUAL(through, 3);
    HOLDS(s.locked());
    s.release(5);  // serves all who wait, and the rest stays
    for (auto& t : all) co_await t;
    EQUAL(s.value(), 3);
  });
}

TEST_P(SEM, SEM_14_AThousandTasksNeverExceedThePermits) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  run([seed]() -> h::task<> {
    constexpr int permits = 5;
    h::bounded_semaphore s(permits);
    std::atomic<int> inside{0}, most{0}, ended{0};
    auto body = [](h::semaphore& ss, std::atomic<int>& in, std::atomic<int>& peak,
                   std::atomic<int>& done, unsigned how) -> h::task<> {
      try {
        if (how % 3 == 0) {
          auto limited = h::timeout(std::chrono::microseconds(how % 500),
                                    [&ss]() -> h::task<> { co_await ss.acquire(); });
          co_await std::move(limited);
        } else {
          co_await ss.acquire();
        }
      } catch (const h::timeout_error&) {
        ++done;
        co_return;
      } catch (const h::cancelled_error&) {
        ++done;
        throw;
      }
      const int now = ++in;
      int p = peak.load();
      while (now > p && !peak.compare_exchange_weak(p, now)) {}
      try {
        co_await h::yield_now();
      } catch (const h::cancelled_error&) {}
      --in;
      ss.release();
      ++done;
    };
    std::mt19937_64 random(seed);
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 1000; ++i) {
      all.push_back(
          h::create_task(body(s, inside, most, ended, static_cast<unsigned>(random() % 10'000))));
      if (random() % 4 == 0) all[random() % all.size()].cancel();
      if (random() % 16 == 0) co_await h::yield_now();
    }
    for (auto& t : all) (void)co_await ending(t);
    HOLDS(most <= permits);
    EQUAL(s.value(), permits);
    HOLDS(s.try_acquire()) << "nobody waits";
    s.release();
  });
}

}  // namespace
