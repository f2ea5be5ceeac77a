// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/sync/barrier.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

namespace {

using namespace conformance;

CASES(BAR);

h::task<std::size_t> meet(h::barrier& b) { co_return co_await b.wait(); }

TEST_P(BAR, BAR_01_LessThanOnePartyIsABadValue) {
  THROWS(h::bad_value, h::barrier(0));
  THROWS(h::bad_value, h::barrier(-3));
}

TEST_P(BAR, BAR_02_AllAreReleasedTogetherEachWithANumberOfItsOwn) {
  run([]() -> h::task<> {
    h::barrier b(5);
    std::vector<h::task_handle<std::size_t>> all;
    for (int i = 0; i < 4; ++i) {
      all.push_back(h::create_task(meet(b)));
      co_await until_waiting(all.back());
      EQUAL(b.n_waiting(), static_cast<std::size_t>(i + 1));
    }
    all.push_back(h::create_task(meet(b)));
    std::vector<std::size_t> numbers;
    for (auto& t : all) numbers.push_back(co_await t);
    std::sort(numbers.begin(), numbers.end());
    EQUAL(numbers, (std::vector<std::size_t>{0, 1, 2, 3, 4}));
    EQUAL(b.n_waiting(), 0u);
    HOLDS(!b.broken());
  });
}

TEST_P(BAR, BAR_03_WithOnePartyNobodyWaits) {
  run([]() -> h::task<> {
    h::barrier b(1);
    EQUAL(co_await b.wait(), 0u);
    EQUAL(co_await b.wait(), 0u);
  });
}

TEST_P(BAR, BAR_04_ItMayBeUsedAgainAtOnceAndRoundsDoNotMix) {
  run([]() -> h::task<> {
    constexpr int parties = 5;
    h::barrier b(parties);
    std::atomic<int> first{0}, second{0}, wrong{0};
    auto body = [](h::barrier& bb, std::atomic<int>& f, std::atomic<int>& s,
                   std::atomic<int>& bad) -> h::task<> {
      ++f;
      (void)co_await bb.wait();
      if (f != parties) ++bad;
      ++s;
      (void)co_await bb.wait();
      if (s != parties) ++bad;
    };
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < parties; ++i) all.push_back(h::create_task(body(b, first, second, wrong)));
    for (auto& t : all) co_await t;
    EQUAL(wrong, 0);
    EQUAL(b.n_waiting(), 0u);
    HOLDS(!b.broken());
  });
}

TEST_P(BAR, BAR_13_OverAThousandRoundsNobodyIsARoundAheadAndOneIsFirst) {
  run([]() -> h::task<> {
    constexpr int parties = 6, generations = 1000;
    h::barrier b(parties);
    std::vector<std::atomic<int>> arrived(generations), zeros(generations);
    std::atomic<int> wrong{0};
    auto body = [](h::barrier& bb, std::vector<std::atomic<int>>& a,
                   std::vector<std::atomic<int>>& z, std::atomic<int>& bad) -> h::task<> {
      for (std::size_t g = 0; g < generations; ++g) {
        if (g > 0 && a[g - 1] != parties) ++bad;  // nobody is behind
        ++a[g];
        const auto number = co_await bb.wait();
        if (number == 0) ++z[g];
        if (number >= parties || a[g] != parties) ++bad;  // all of this round have come
        if (g + 2 < generations && a[g + 2] != 0) ++bad;  // and nobody is two ahead
      }
    };
    std::vector<h::task_handle<void>> all;
    for (int i = 0; i < parties; ++i) all.push_back(h::create_task(body(b, arrived, zeros, wrong)));
    for (auto& t : all) co_await t;
    EQUAL(wrong, 0);
    for (auto& z : zeros) HOLDS(z == 1);
  });
}

TEST_P(BAR, BAR_05_FiveTasksPassInPairsAndTheFifthWaits) {
  run([]() -> h::task<> {
    h::barrier b(2);
    std::vector<h::task_handle<std::size_t>> all;
    for (int i = 0; i < 5; ++i) all.push_back(h::create_task(meet(b)));
    const auto ended = [&] {
      return std::count_if(all.begin(), all.end(), [](auto& t) { return t.done(); });
    };
    co_await until([&] { return ended() == 4 && b.n_waiting() == 1; });
    co_await settle();
    EQUAL(ended(), 4);
    EQUAL(co_await b.wait(), 1u);
    for (auto& t : all) (void)co_await t;
  });
}

TEST_P(BAR, BAR_06_ACancelledPartyLeavesAndNothingIsBroken) {
  run([]() -> h::task<> {
    h::barrier b(3);
    auto a = h::create_task(meet(b));
    auto c = h::create_task(meet(b));
    co_await until_waiting(a);
    co_await until_waiting(c);
    a.cancel();
    EQUAL(co_await ending(a), "Cancelled");
    EQUAL(b.n_waiting(), 1u);
    HOLDS(!b.broken());
    auto d = h::create_task(meet(b));
    co_await until_waiting(d);
    HOLDS(!c.done());
    (void)co_await b.wait();
    (void)co_await c;
    (void)co_await d;
  });
}

TEST_P(BAR, BAR_08_ResetBreaksThoseWhoWaitAndNobodyElse) {
  run([]() -> h::task<> {
    h::barrier b(2);
    b.reset();
    HOLDS(!b.broken());
    auto t = h::create_task(meet(b));
    co_await until_waiting(t);
    b.reset();
    EQUAL(co_await ending(t), "Broken");
    HOLDS(!b.broken());
    auto u = h::create_task(meet(b));
    (void)co_await b.wait();
    (void)co_await u;
  });
}

TEST_P(BAR, BAR_10_AbortBreaksItUntilReset) {
  run([]() -> h::task<> {
    h::barrier b(2);
    auto t = h::create_task(meet(b));
    co_await until_waiting(t);
    b.abort();
    HOLDS(b.broken());
    EQUAL(co_await ending(t), "Broken");
    EQUAL(co_await ending(meet(b)), "Broken");
    EQUAL(b.n_waiting(), 0u);
    b.reset();
    HOLDS(!b.broken());
    auto u = h::create_task(meet(b));
    (void)co_await b.wait();
    (void)co_await u;
  });
}

TEST_P(BAR, BAR_12_OneThatAbortsBreaksAllTheOthersAndAResetRepairs) {
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
    EQUAL(broken, parties - 1);
    EQUAL(through, parties);
  });
}

}  // namespace
