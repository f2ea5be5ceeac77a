// SPDX-License-Identifier: MIT
// SEM of the conformance list.
#include "sync_support.h"

#include <heddle/sync/semaphore.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

namespace {

using namespace support;

class Semaphore : public on_loops {};
RUN_ON_LOOPS(Semaphore);

h::task<> take(h::semaphore& s, std::string& log, char who) {
  co_await s.acquire();
  log += who;
}
h::task<> take_into(h::semaphore& s, std::atomic<int>& count) {
  co_await s.acquire();
  ++count;
}

TEST_P(Semaphore, SEM_01_ThePermitsAreTakenAtOnceThenOneWaits) {
  run([]() -> h::task<> {
    h::semaphore s(3);
    for (int i = 0; i < 3; ++i) {
      EXPECT_FALSE(s.locked());
      co_await s.acquire();
    }
    EXPECT_TRUE(s.locked());
    EXPECT_FALSE(s.try_acquire());
    std::string log;
    auto t = h::create_task(take(s, log, 'x'));
    co_await until_waiting(t);
    s.release();
    co_await t;
    EXPECT_EQ(log, "x");
  });
}

TEST(SemaphoreValues, SEM_02_ANegativeInitialValueIsABadValue) {
  EXPECT_THROW(h::semaphore(-1), h::bad_value);
  EXPECT_THROW(h::bounded_semaphore(-1), h::bad_value);
  h::semaphore zero(0);
  EXPECT_TRUE(zero.locked());
}

TEST(SemaphoreValues, SEM_03_OnlyABoundedOneMindsAReleaseTooMany) {
  h::semaphore plain(1);
  plain.release();
  EXPECT_EQ(plain.value(), 2);
  plain.release(3);
  EXPECT_EQ(plain.value(), 5);
  EXPECT_THROW(plain.release(-1), h::bad_value);
  h::bounded_semaphore bounded(2);
  EXPECT_THROW(bounded.release(), h::bad_value);
  EXPECT_TRUE(bounded.try_acquire());
  EXPECT_THROW(bounded.release(2), h::bad_value);
  EXPECT_EQ(bounded.value(), 1);
  bounded.release();
  EXPECT_EQ(bounded.value(), 2);
}

TEST_P(Semaphore, SEM_04_ANewcomerQueuesBehindOneThatWasGrantedAndHasNotRun) {
  run([]() -> h::task<> {
    h::semaphore s(0);
    std::string log;
    auto a = h::create_task(take(s, log, 'a'));
    co_await until_waiting(a);
    s.release();
    EXPECT_TRUE(s.locked()) << "the permit is a's";
    EXPECT_FALSE(s.try_acquire());
    co_await a;
    auto b = h::create_task(take(s, log, 'b'));
    co_await until_waiting(b);
    s.release();
    co_await b;
    EXPECT_EQ(log, "ab");
  });
}

TEST_P(Semaphore, SEM_05_TwoReleasesLetExactlyTwoThrough) {
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
    EXPECT_EQ(through, 2);
    s.release();
    for (auto& t : all) co_await t;
  });
}

TEST_P(Semaphore, SEM_06_TasksThatAlternateRotateInTheOrderOfAsking) {
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
    std::vector<h::task_handle<void>> all;
    for (char c : {'1', '2', '3'}) all.push_back(h::create_task(body(s, log, c)));
    for (auto& t : all) co_await t;
    if (strict) {
      EXPECT_EQ(log, "123123");
    } else {
      std::sort(log.begin(), log.end());
      EXPECT_EQ(log, "112233");
    }
  });
}

TEST_P(Semaphore, SEM_07_TheOnesBehindACancelledRequestGetThePermits) {
  run([]() -> h::task<> {
    h::semaphore s(0);
    std::atomic<int> through{0};
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 3; ++i) {
      all.push_back(h::create_task(take_into(s, through)));
      co_await until_waiting(all.back());
    }
    all[0].cancel();
    s.release();
    s.release();
    co_await all[1];
    co_await all[2];
    EXPECT_EQ(co_await ending(all[0]), "cancelled");
    EXPECT_EQ(through, 2);
    EXPECT_EQ(s.value(), 0);
  });
}

TEST_P(Semaphore, SEM_11_CancellingWhoWasJustGrantedReturnsThePermit) {
  run([]() -> h::task<> {
    h::semaphore s(1);
    co_await s.acquire();
    std::string log;
    auto t2 = h::create_task(take(s, log, 'x'));
    co_await until_waiting(t2);
    s.release();
    t2.cancel();
    const auto how = co_await ending(t2);
    if (log == "x")
      s.release();  // on several loops it may have been through before
    else
      EXPECT_EQ(how, "cancelled");
    co_await h::timeout(10s, [&s]() -> h::task<> { co_await s.acquire(); });
    s.release();
    EXPECT_EQ(s.value(), 1);
  });
}

TEST_P(Semaphore, SEM_13_AReleaseOfSeveralServesAsManyAsWait) {
  run([]() -> h::task<> {
    h::semaphore s(0);
    std::atomic<int> through{0};
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 3; ++i) all.push_back(h::create_task(take_into(s, through)));
    for (auto& t : all) co_await until_waiting(t);
    s.release(5);
    for (auto& t : all) co_await t;
    EXPECT_EQ(s.value(), 2);
  });
}

TEST_P(Semaphore, SEM_14_AThousandTasksNeverExceedThePermits) {
  const auto seed = test_seed();
  SCOPED_TRACE("HEDDLE_TEST_SEED=" + std::to_string(seed));
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
    EXPECT_LE(most, permits);
    EXPECT_EQ(s.value(), permits);
    EXPECT_TRUE(s.try_acquire()) << "nobody waits";
    s.release();
  });
}

TEST_P(Semaphore, APermitReturnsAtTheEndOfItsScope) {
  run([]() -> h::task<> {
    h::semaphore s(1);
    {
      const auto permit = co_await s.scoped_acquire();
      EXPECT_TRUE(s.locked());
    }
    EXPECT_FALSE(s.locked());
  });
}

}  // namespace
