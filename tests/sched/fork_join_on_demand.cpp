// SPDX-License-Identifier: MIT
// fork_join whose children are made when their turn comes (protocol RANGE), on real threads and in
// simulated programs.
#include "sched/simulated_forks.h"
#include "sched/small_tasks.h"

#include <heddle/core/base/random.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/timeout.h>

#include <support/endings.h>
#include <support/loops.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace simulated_forks;
using small_tasks::fail_late;
using small_tasks::give;
using small_tasks::give_late;
using support::error_text;

class ForkJoinOnDemand : public support::at_loops {};
HEDDLE_AT_LOOPS(ForkJoinOnDemand);

TEST_P(ForkJoinOnDemand, YieldsTheResultsInOrder) {
  run([]() -> h::task<> {
    for (const std::size_t n : {0, 1, 2, 3, 1000}) {
      const auto make = [](std::size_t i) {
        return i % 3 == 0 ? give_late(static_cast<int>(i)) : give(static_cast<int>(i));
      };
      const auto values = co_await h::fork_join(n, make);
      EXPECT_EQ(values.size(), n);
      std::vector<int> places(n + 1, -1);
      co_await h::fork_join(n, make, places);
      for (std::size_t i = 0; i < n; ++i) {
        EXPECT_EQ(values[i], static_cast<int>(i));
        EXPECT_EQ(places[i], static_cast<int>(i));
      }
      EXPECT_EQ(places[n], -1);
    }
  });
}

TEST_P(ForkJoinOnDemand, TakesBoolsMoveOnlyResultsAndVoid) {
  run([]() -> h::task<> {
    const auto odd = [](std::size_t i) -> h::task<bool> {
      co_await h::yield_now();
      co_return i % 2 == 1;
    };
    const auto bools = co_await h::fork_join(100, odd);
    const auto boxed = [](std::size_t i) -> h::task<std::unique_ptr<std::size_t>> {
      co_return std::make_unique<std::size_t>(i);
    };
    const auto boxes = co_await h::fork_join(100, boxed);
    std::atomic<std::size_t> sum{0};
    const auto add = [&sum](std::size_t i) -> h::task<> {
      sum += i;
      co_return;
    };
    co_await h::fork_join(100, add);
    for (std::size_t i = 0; i < 100; ++i) {
      EXPECT_EQ(bools[i], i % 2 == 1);
      EXPECT_EQ(*boxes[i], i);
    }
    EXPECT_EQ(sum, 4950u);
  });
}

TEST_P(ForkJoinOnDemand, MakesEachChildOnceInOrderAndNoTwoAtOneTime) {
  run([]() -> h::task<> {
    std::vector<std::size_t> made;  // by one thread at a time, so it needs no lock
    const auto make = [&made](std::size_t i) {
      made.push_back(i);
      return i % 5 == 0 ? give_late(1) : give(1);
    };
    const auto values = co_await h::fork_join(500, make);
    std::vector<std::size_t> all(500);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(made, all);
    EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0), 500);
  });
}

/// Counts how many of its kind live.
struct counted {
  explicit counted(std::atomic<int>& live, std::atomic<int>& most) noexcept : n(live) {
    const int now = ++n;
    int seen = most;
    while (seen < now && !most.compare_exchange_weak(seen, now)) {}
  }
  counted(const counted&) = delete;
  ~counted() { --n; }
  std::atomic<int>& n;
};

TEST_P(ForkJoinOnDemand, NoMoreFramesAreThereThanChildrenRun) {
  const auto most = static_cast<int>(loops());
  run([most]() -> h::task<> {
    std::atomic<int> live{0}, seen{0};
    const auto make = [&](std::size_t i) -> h::task<std::size_t> {
      const counted one(live, seen);
      co_return i;
    };
    const auto values = co_await h::fork_join(5000, make);
    EXPECT_EQ(values.back(), 4999u);
    EXPECT_EQ(live, 0);
    EXPECT_LE(seen, most);
  });
}

TEST_P(ForkJoinOnDemand, ThrowsTheFirstFailureInOrder) {
  run([]() -> h::task<> {
    std::atomic<int> begun{0};
    const auto make = [&begun](std::size_t i) -> h::task<int> {
      ++begun;
      if (i == 4) return fail_late("the fourth");
      if (i == 2) throw std::runtime_error("made no second");
      return give_late(1);
    };
    EXPECT_EQ(co_await error_text([&] { return h::fork_join(100, make); }), "made no second");
    EXPECT_EQ(begun, 3);
    const auto late = [](std::size_t i) {
      return i == 50 ? fail_late("the last but many") : give_late(1);
    };
    EXPECT_EQ(co_await error_text([&] { return h::fork_join(51, late); }), "the last but many");
    const auto empty = [](std::size_t) { return h::task<int>(); };
    EXPECT_NE((co_await error_text([&] { return h::fork_join(3, empty); })).find("empty task"),
              std::string::npos);
  });
}

TEST_P(ForkJoinOnDemand, AFailureEndsTheWaitsOfTheOthersAndBeginsNoMore) {
  run([]() -> h::task<> {
    std::atomic<int> ended{0}, begun{0};
    const auto make = [&](std::size_t i) -> h::task<> {
      ++begun;
      if (i == 3) {
        co_await h::sleep(1ms);
        throw std::runtime_error("the third");
      }
      if (i > 3) co_await h::yield_now();
      try {
        co_await h::sleep(1000h);
      } catch (const h::cancelled_error&) {
        ++ended;
        throw;
      }
    };
    EXPECT_EQ(co_await error_text([&] { return h::fork_join(20, make); }), "the third");
    EXPECT_EQ(ended, begun - 1);
  });
}

TEST_P(ForkJoinOnDemand, ATimeOutReachesAllChildren) {
  run([]() -> h::task<> {
    std::atomic<int> ended{0};
    const auto make = [&](std::size_t) -> h::task<> {
      try {
        co_await h::sleep(1000h);
      } catch (const h::cancelled_error&) {
        ++ended;
        throw;
      }
    };
    const auto body = [&]() -> h::task<> { co_await h::fork_join(30, make); };
    bool expired = false;
    try {
      auto block = h::timeout(20ms, body);
      co_await std::move(block);
    } catch (const h::timeout_error&) { expired = true; }
    EXPECT_TRUE(expired);
    EXPECT_EQ(ended, 30);
  });
}

TEST_P(ForkJoinOnDemand, AWideOneLetsTheLoopServeOthers) {
  run([]() -> h::task<> {
    std::atomic<bool> served{false};
    std::atomic<int> seen{0};
    auto other = h::create_task([&served]() -> h::task<> {
      for (int i = 0; i < 3; ++i) co_await h::yield_now();
      served = true;
    });
    const auto make = [&](std::size_t) -> h::task<> {
      if (served) ++seen;
      co_return;
    };
    while (seen == 0) co_await h::fork_join(100'000, make);
    co_await other;
    EXPECT_GT(seen, 0);
  });
}

TEST_P(ForkJoinOnDemand, RefusesWhatItCannotDo) {
  run([]() -> h::task<> {
    const auto make = [](std::size_t) { return give(1); };
    std::array<int, 2> few{};
    const auto text = co_await error_text([&] { return h::fork_join(3, make, few); });
    EXPECT_NE(text.find("3 tasks into a span of 2"), std::string::npos) << text;
    const auto many = co_await error_text([&] { return h::fork_join(std::size_t{1} << 40, make); });
    EXPECT_NE(many.find("at most 2147483647"), std::string::npos) << many;
    auto join = h::fork_join(3, make);
    (void)co_await join;
    EXPECT_THROW((void)co_await join, h::usage_error);

    // Frames that a failed join has left have run.
    std::array<h::task<int>, 3> some = {give(1), small_tasks::fail("no"), give(3)};
    std::array<int, 3> found{};
    const auto no = co_await error_text([&] { return h::fork_join(std::span(some), found); });
    EXPECT_EQ(no, "no");
    const auto again = [&some](std::size_t i) { return std::move(some[i]); };
    const auto ran = co_await error_text([&] { return h::fork_join(3, again, found); });
    EXPECT_NE(ran.find("awaited before"), std::string::npos) << ran;
  });
}

/// Makes tasks that begin at once and fork, while the join puts its own entry into the deque.
TEST_P(ForkJoinOnDemand, WhatMakesChildrenMayBeginTasksThatFork) {
  run([]() -> h::task<> {
    std::atomic<int> ended{0};
    std::vector<h::task_handle<>> begun;
    h::task_options at_once;
    at_once.eager = true;
    const auto make = [&](std::size_t) -> h::task<int> {
      auto body = [&ended]() -> h::task<> {
        const auto waits = [&ended](std::size_t i) -> h::task<> {
          if (i == 0) co_await h::yield_now();
          ++ended;
        };
        co_await h::fork_join(3, waits);
      };
      begun.push_back(h::create_task(at_once, body));
      return give(1);
    };
    const auto values = co_await h::fork_join(600, make);
    EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0), 600);
    for (auto& each : begun) co_await each;
    EXPECT_EQ(ended, 1800);
  });
}

/// A tree whose nodes fork in both ways, and whose leaves wait in different ones.
h::task<int> tree(std::uint64_t seed, int depth) {
  h::detail::random_source random(seed);
  const auto leaf = random.below(6);
  if (depth == 0 || leaf == 0) {
    if (leaf == 1) co_await h::yield_now();
    if (leaf == 2) co_await h::sleep(std::chrono::microseconds(random.below(50)));
    co_return 1;
  }
  const auto first = random.next();
  if (random.below(4) == 0) {
    auto [a, b] = co_await h::fork_join(tree(first, depth - 1), tree(first + 1, depth - 1));
    co_return a + b + 1;
  }
  const std::size_t n = 1 + random.below(6);
  std::array<int, 6> sums{};
  const auto make = [=](std::size_t i) { return tree(first + i, depth - 1); };
  co_await h::fork_join(n, make, sums);
  co_return std::accumulate(sums.begin(), sums.end(), 1);
}

/// The same number without forks.
int size_of(std::uint64_t seed, int depth) {
  h::detail::random_source random(seed);
  const auto leaf = random.below(6);
  if (depth == 0 || leaf == 0) {
    if (leaf == 2) (void)random.below(50);
    return 1;
  }
  const auto first = random.next();
  if (random.below(4) == 0) return size_of(first, depth - 1) + size_of(first + 1, depth - 1) + 1;
  const auto n = 1 + random.below(6);
  int sum = 1;
  for (std::uint32_t i = 0; i < n; ++i) sum += size_of(first + i, depth - 1);
  return sum;
}

TEST_P(ForkJoinOnDemand, RandomTreesHaveTheRightSize) {
  run([]() -> h::task<> {
    for (std::uint64_t seed = 1; seed <= (HEDDLE_TSAN || HEDDLE_ASAN ? 40u : 200u); ++seed) {
      const int got = co_await tree(seed, 6);
      EXPECT_EQ(got, size_of(seed, 6)) << "seed " << seed;
    }
  });
}

TEST(ForkJoinOnDemandSimulated, RandomTreesHaveTheRightSize) {
  std::uint64_t seed = 0;
  at_all_loops(1h, [&seed]() -> h::task<> {
    const auto mine = ++seed;
    const int got = co_await tree(mine, 4);
    require(got == size_of(mine, 4), "a wrong sum");
  });
}

TEST(ForkJoinOnDemandSimulated, AFailureAnywhereIsToldOnceToEachThatWaits) {
  std::uint64_t seed = 0;
  at_all_loops(1h, [&seed]() -> h::task<> {
    h::detail::random_source random(++seed);
    const std::size_t n = 2 + random.below(8), fails = random.below(static_cast<std::uint32_t>(n));
    const auto steps = random.below(4);
    tally told;
    const auto make = [&, fails, steps](std::size_t i) -> h::task<> {
      if (i != fails) {
        co_await sleeper(told);
      } else {
        for (std::uint32_t s = 0; s < steps; ++s) co_await h::yield_now();
        throw std::runtime_error("that one");
      }
    };
    bool threw = false;
    try {
      co_await h::fork_join(n, make);
    } catch (const std::runtime_error&) { threw = true; }
    require(threw, "the failure was lost");
    require(told.told == told.begun && told.told_again == 0, "a sleeper was told otherwise");
  });
}

TEST(ForkJoinOnDemandSimulated, ACancellationAnywhereReachesAllAndEndsIt) {
  std::uint64_t seed = 0;
  at_all_loops(1h, [&seed]() -> h::task<> {
    h::detail::random_source random(++seed);
    const std::size_t n = 1 + random.below(9);
    const auto steps = random.below(12);
    tally told;
    auto body = [&told, n]() -> h::task<> {
      const auto make = [&told](std::size_t i) -> h::task<> {
        if (i % 3 == 1) co_await h::yield_now();
        co_await sleeper(told);
      };
      co_await h::fork_join(n, make);
    };
    auto whole = h::create_task(body);
    for (std::uint32_t s = 0; s < steps; ++s) co_await h::yield_now();
    whole.cancel();
    bool cancelled = false;
    try {
      co_await whole;
    } catch (const h::cancelled_error&) { cancelled = true; }
    require(cancelled, "it was not cancelled");
    require(told.told == told.begun && told.told_again == 0, "a sleeper was told otherwise");
  });
}

}  // namespace
