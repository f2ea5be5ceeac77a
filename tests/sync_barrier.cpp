// SPDX-License-Identifier: MIT
// BAR of the conformance list.
#include "sync_support.h"

#include <heddle/sync/barrier.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

namespace {

using namespace support;

class Barrier : public on_loops {};
RUN_ON_LOOPS(Barrier);

h::task<std::size_t> meet(h::barrier& b) { co_return co_await b.wait(); }

TEST(BarrierValues, BAR_01_LessThanOnePartyIsABadValue) {
  EXPECT_THROW(h::barrier(0), h::bad_value);
  EXPECT_THROW(h::barrier(-3), h::bad_value);
}

TEST_P(Barrier, BAR_02_AllAreReleasedTogetherEachWithANumberOfItsOwn) {
  run([]() -> h::task<> {
    h::barrier b(5);
    std::vector<h::task_handle<std::size_t>> all;
    for (int i = 0; i < 4; ++i) {
      all.push_back(h::create_task(meet(b)));
      co_await until_waiting(all.back());
      EXPECT_EQ(b.n_waiting(), static_cast<std::size_t>(i + 1));
    }
    all.push_back(h::create_task(meet(b)));
    std::vector<std::size_t> numbers;
    for (auto& t : all) numbers.push_back(co_await t);
    std::sort(numbers.begin(), numbers.end());
    EXPECT_EQ(numbers, (std::vector<std::size_t>{0, 1, 2, 3, 4}));
    EXPECT_EQ(b.n_waiting(), 0u);
    EXPECT_FALSE(b.broken());
  });
}

TEST_P(Barrier, BAR_03_WithOnePartyNobodyWaits) {
  run([]() -> h::task<> {
    h::barrier b(1);
    EXPECT_EQ(co_await b.wait(), 0u);
    EXPECT_EQ(co_await b.wait(), 0u);
  });
}

TEST_P(Barrier, BAR_04_13_GenerationsDoNotMixAndEachHasOneNumberZero) {
  run([]() -> h::task<> {
    constexpr int parties = 6, generations = 500;
    h::barrier b(parties);
    std::atomic<int> arrived{0}, wrong{0}, zeros{0};
    auto body = [](h::barrier& bb, std::atomic<int>& a, std::atomic<int>& bad,
                   std::atomic<int>& z) -> h::task<> {
      for (int g = 0; g < generations; ++g) {
        ++a;
        if (co_await bb.wait() == 0) ++z;
        // All of this generation have come, and nobody can be further than one ahead.
        const int now = a;
        if (now < parties * (g + 1) || now > parties * (g + 2)) ++bad;
      }
    };
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < parties; ++i) all.push_back(h::create_task(body(b, arrived, wrong, zeros)));
    for (auto& t : all) co_await t;
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(zeros, generations);
  });
}

TEST_P(Barrier, BAR_05_FiveTasksPassInPairsAndTheFifthWaits) {
  run([]() -> h::task<> {
    h::barrier b(2);
    std::vector<h::task_handle<std::size_t>> all;
    for (int i = 0; i < 5; ++i) all.push_back(h::create_task(meet(b)));
    const auto ended = [&] {
      return std::count_if(all.begin(), all.end(), [](auto& t) { return t.done(); });
    };
    co_await until([&] { return ended() == 4 && b.n_waiting() == 1; });
    co_await settle();
    EXPECT_EQ(ended(), 4);
    EXPECT_EQ(co_await b.wait(), 1u);
    for (auto& t : all) (void)co_await t;
  });
}

TEST_P(Barrier, BAR_06_ACancelledPartyLeavesAndNothingIsBroken) {
  run([]() -> h::task<> {
    h::barrier b(3);
    auto a = h::create_task(meet(b));
    auto c = h::create_task(meet(b));
    co_await until_waiting(a);
    co_await until_waiting(c);
    a.cancel();
    EXPECT_EQ(co_await ending(a), "cancelled");
    EXPECT_EQ(b.n_waiting(), 1u);
    EXPECT_FALSE(b.broken());
    auto d = h::create_task(meet(b));
    co_await until_waiting(d);
    EXPECT_FALSE(c.done());
    (void)co_await b.wait();
    (void)co_await c;
    (void)co_await d;
  });
}

TEST_P(Barrier, BAR_08_ResetBreaksThoseWhoWaitAndNobodyElse) {
  run([]() -> h::task<> {
    h::barrier b(2);
    b.reset();
    EXPECT_FALSE(b.broken());
    auto t = h::create_task(meet(b));
    co_await until_waiting(t);
    b.reset();
    EXPECT_EQ(co_await ending(t), h::broken_barrier_error().what());
    EXPECT_FALSE(b.broken());
    auto u = h::create_task(meet(b));
    (void)co_await b.wait();
    (void)co_await u;
  });
}

TEST_P(Barrier, BAR_10_AbortBreaksItUntilReset) {
  run([]() -> h::task<> {
    h::barrier b(2);
    auto t = h::create_task(meet(b));
    co_await until_waiting(t);
    b.abort();
    EXPECT_TRUE(b.broken());
    EXPECT_EQ(co_await ending(t), h::broken_barrier_error().what());
    EXPECT_THROW((void)co_await b.wait(), h::broken_barrier_error);
    b.reset();
    EXPECT_FALSE(b.broken());
    auto u = h::create_task(meet(b));
    (void)co_await b.wait();
    (void)co_await u;
  });
}

TEST_P(Barrier, BAR_12_OneThatAbortsBreaksAllTheOthersAndAResetRepairs) {
  run([]() -> h::task<> {
    constexpr int parties = 4;
    h::barrier first(parties), second(parties);
    std::atomic<int> broken{0}, through{0};
    auto body = [](h::barrier& a, h::barrier& s, std::atomic<int>& n, std::atomic<int>& ok,
                   bool aborts) -> h::task<> {
      (void)co_await a.wait();
      try {
        if (aborts)
          a.abort();
        else
          (void)co_await a.wait();
      } catch (const h::broken_barrier_error&) { ++n; }
      if (co_await s.wait() == 0) a.reset();
      (void)co_await s.wait();
      (void)co_await a.wait();
      ++ok;
    };
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < parties; ++i)
      all.push_back(h::create_task(body(first, second, broken, through, i == 2)));
    for (auto& t : all) co_await t;
    EXPECT_EQ(broken, parties - 1);
    EXPECT_EQ(through, parties);
  });
}

TEST_P(Barrier, EveryRoundIsCompleteUnderRandomCancellations) {
  const auto seed = test_seed();
  SCOPED_TRACE("HEDDLE_TEST_SEED=" + std::to_string(seed));
  run([seed]() -> h::task<> {
    constexpr int parties = 4;
    h::barrier b(parties);
    std::atomic<int> passed{0}, cancelled{0}, started{0}, running{12};
    auto body = [](h::barrier& bb, std::atomic<int>& ok, std::atomic<int>& no,
                   std::atomic<int>& begun, std::atomic<int>& left) -> h::task<> {
      ++begun;
      for (int i = 0; i < 60; ++i) {
        try {
          (void)co_await bb.wait();
          ++ok;
        } catch (const h::cancelled_error&) { ++no; }
      }
      --left;
    };
    std::mt19937_64 random(seed);
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < 12; ++i)
      all.push_back(h::create_task(body(b, passed, cancelled, started, running)));
    co_await until([&] { return started == 12; });
    while (running > 0) {  // the last ones lack partners: only cancellations let them end
      all[random() % all.size()].cancel();
      co_await h::yield_now();
    }
    for (auto& t : all) (void)co_await ending(t);
    EXPECT_EQ(passed + cancelled, 12 * 60);
    EXPECT_EQ(b.n_waiting(), 0u);
  });
}

}  // namespace
