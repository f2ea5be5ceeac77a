// SPDX-License-Identifier: MIT
// parallel_for_each: every element once, whatever the range; failures, waits, cancellation.
#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/parallel_for_each.h>
#include <heddle/sched/simulate.h>
#include <heddle/sched/sleep.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <forward_list>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::until;

class ParallelForEach : public support::at_loops {};

struct counters {
  explicit counters(std::size_t n) : of(n) {}
  void operator()(std::size_t i) { of.at(i).fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] bool all_are(int n) const {
    for (const auto& c : of)
      if (c != n) return false;
    return true;
  }
  std::vector<std::atomic<int>> of;
};

TEST_P(ParallelForEach, VisitsEveryIndexOnce) {
  run([]() -> h::task<> {
    for (std::size_t n : {0u, 1u, 2u, 3u, 63u, 64u, 65u, 1000u, 20'000u}) {
      for (std::size_t grain : {1u, 2u, 7u, 64u, 100'000u}) {
        counters seen(n);
        co_await h::parallel_for_each(0, n, grain, std::ref(seen));
        EXPECT_TRUE(seen.all_are(1)) << n << " by " << grain;
      }
    }
  }());
}

// Were there fewer than ten leaves, their first elements would wait for ever.
TEST_P(ParallelForEach, ALeafHoldsAtMostGrainElements) {
  run([]() -> h::task<> {
    std::atomic<int> begun{0};
    co_await h::parallel_for_each(0, 100, 10, [&begun](int) -> h::task<> {
      ++begun;
      co_await until([&] { return begun >= 10; });
    });
    EXPECT_EQ(begun, 100);
  }());
}

TEST_P(ParallelForEach, GivesElementsByReferenceAlsoIfTheyCannotBeCopied) {
  run([]() -> h::task<> {
    std::vector<std::unique_ptr<int>> all;
    for (int i = 0; i < 500; ++i) all.push_back(std::make_unique<int>(i));
    co_await h::parallel_for_each(all, 3, [](std::unique_ptr<int>& p) { *p *= 2; });
    for (int i = 0; i < 500; ++i) EXPECT_EQ(*all[static_cast<std::size_t>(i)], 2 * i);
    const auto& unchanging = all;
    std::atomic<int> sum{0};
    co_await h::parallel_for_each(unchanging, 3,
                                  [&sum](const std::unique_ptr<int>& p) { sum += *p; });
    EXPECT_EQ(sum, 499 * 500);
    int raw[] = {1, 2, 3};
    co_await h::parallel_for_each(raw, 1, [](int& i) { ++i; });
    EXPECT_EQ(raw[2], 4);
    co_await h::parallel_for_each(std::begin(raw), std::end(raw), 1, [](int& i) { ++i; });
    EXPECT_EQ(raw[0], 3);
  }());
}

TEST_P(ParallelForEach, KeepsARangeThatIsGivenAway) {
  run([]() -> h::task<> {
    std::atomic<long> sum{0};
    auto work = h::parallel_for_each(std::vector<int>(1000, 2), 10, [&sum](int i) { sum += i; });
    co_await work;
    EXPECT_EQ(sum, 2000);
  }());
}

TEST_P(ParallelForEach, ReadsRangesOfUnknownLength) {
  run([]() -> h::task<> {
    for (int n : {0, 1, 5, 1000}) {
      std::forward_list<int> list(static_cast<std::size_t>(n), 1);
      co_await h::parallel_for_each(list, 4, [](int& i) { ++i; });
      for (int i : list) EXPECT_EQ(i, 2);
      std::ostringstream out;
      for (int i = 0; i < n; ++i) out << i << ' ';
      std::istringstream in(out.str());
      counters seen(static_cast<std::size_t>(n));
      co_await h::parallel_for_each(std::istream_iterator<std::size_t>(in),
                                    std::istream_iterator<std::size_t>(), 7, std::ref(seen));
      EXPECT_TRUE(seen.all_are(1));
    }
  }());
}

/// An input range that makes what cannot be copied, and tells how much of it is alive.
struct source {
  struct item {
    explicit item(std::atomic<int>& a) : alive(&a) { ++*alive; }
    item(item&& o) noexcept : alive(std::exchange(o.alive, nullptr)) {}
    item& operator=(item&&) = delete;
    ~item() {
      if (alive) --*alive;
    }
    std::atomic<int>* alive;
  };
  struct iterator {
    using iterator_concept = std::input_iterator_tag;
    using value_type = item;
    using difference_type = std::ptrdiff_t;
    item operator*() const { return item(*of->alive); }
    iterator& operator++() {
      if (++of->read == of->throws_at) throw std::runtime_error("the source broke");
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return of->read >= of->length; }
    source* of = nullptr;
  };
  iterator begin() { return {this}; }
  static std::default_sentinel_t end() { return {}; }

  int length = 0;
  std::atomic<int>* alive = nullptr;
  int throws_at = -1;
  int read = 0;
};

TEST_P(ParallelForEach, MovesWhatAnInputRangeYieldsAndKeepsLittleOfItAlive) {
  run([]() -> h::task<> {
    constexpr int grain = 5;
    const int most = 4 * static_cast<int>(h::current_runtime().loop_count()) * grain;
    std::atomic<int> alive{0}, taken{0}, peak{0};
    source all{.length = 10'000, .alive = &alive};
    co_await h::parallel_for_each(all, grain, [&](source::item item) {
      EXPECT_EQ(item.alive, &alive);
      for (int seen = alive, known = peak; seen > known;)
        if (peak.compare_exchange_weak(known, seen)) break;
      ++taken;
    });
    EXPECT_EQ(taken, 10'000);
    EXPECT_EQ(alive, 0);
    EXPECT_LE(peak, most + grain);
  }());
}

TEST_P(ParallelForEach, WhatTheRangeThrowsComesOutAfterAllThatHadBegun) {
  run([]() -> h::task<> {
    std::atomic<int> alive{0};
    source all{.length = 1000, .alive = &alive, .throws_at = 500};
    try {
      co_await h::parallel_for_each(all, 5, [](source::item&) {});
      ADD_FAILURE() << "it did not throw";
    } catch (const std::runtime_error& e) { EXPECT_STREQ(e.what(), "the source broke"); }
    EXPECT_EQ(alive, 0);
  }());
}

TEST_P(ParallelForEach, AGrainOfZeroIsAUsageErrorAtOnce) {
  std::vector<int> all(3);
  EXPECT_THROW((void)h::parallel_for_each(all, 0, [](int) {}), h::usage_error);
  EXPECT_THROW((void)h::parallel_for_each(0, 3, 0, [](int) {}), h::usage_error);
}

TEST_P(ParallelForEach, AnIntervalThatIsEmptyOrReversedHoldsNothing) {
  run([]() -> h::task<> {
    co_await h::parallel_for_each(3, 3, 1, [](int) { ADD_FAILURE(); });
    co_await h::parallel_for_each(5, -5, 1, [](int) { ADD_FAILURE(); });
    std::atomic<int> sum{0};
    co_await h::parallel_for_each(-5, 3, 2, [&sum](int i) { sum += i; });
    EXPECT_EQ(sum, -12);
  }());
}

TEST_P(ParallelForEach, ElementsMayWaitAndOtherLeavesGoOn) {
  run([]() -> h::task<> {
    std::vector<int> all(200);
    h::promise<void> gate;
    const auto open = gate.get_future();
    std::atomic<int> begun{0};
    co_await h::parallel_for_each(all, 1, [&](int& e) -> h::task<> {
      if (++begun == 200) gate.set_value();  // the last one lets all the others go
      co_await open;
      co_await h::sleep(std::chrono::microseconds(&e - all.data()));
      e = 1;
    });
    for (int e : all) EXPECT_EQ(e, 1);
  }());
}

TEST_P(ParallelForEach, AwaitsWhateverCanBeAwaited) {
  run([]() -> h::task<> {
    std::atomic<int> ran{0};
    co_await h::parallel_for_each(0, 50, 3, [&ran](int) {
      ++ran;
      return h::yield_now();
    });
    co_await h::parallel_for_each(0, 50, 3, [&ran](int) {
      return h::create_task([&ran]() -> h::task<> {
        ++ran;
        co_return;
      });
    });
    co_await h::parallel_for_each(0, 50, 3, [&ran](int i) { return ran += (i < 50); });
    EXPECT_EQ(ran, 150);
  }());
}

TEST_P(ParallelForEach, ThrowsTheFirstFailureInTheOrderOfTheRange) {
  run([]() -> h::task<> {
    for (int round = 0; round < 20; ++round) {
      std::atomic<int> begun{0};
      try {
        // All wait until all have begun, so all fail.
        co_await h::parallel_for_each(0, 16, 1, [&begun](int i) -> h::task<> {
          ++begun;
          co_await until([&] { return begun == 16; });
          throw std::runtime_error(std::to_string(i));
        });
        ADD_FAILURE() << "it did not throw";
      } catch (const std::runtime_error& e) { EXPECT_LT(std::stoi(e.what()), 16); }
      try {
        co_await h::parallel_for_each(0, 1000, 10, [](int i) {
          if (i % 10 == 3) throw std::runtime_error(std::to_string(i));
        });
        ADD_FAILURE() << "it did not throw";
      } catch (const std::runtime_error& e) { EXPECT_EQ(std::stoi(e.what()) % 10, 3); }
    }
  }());
}

TEST(ParallelForEachOnOneLoop, SkipsTheRestOfTheLeafAndLeavesThatHaveNotBegun) {
  support::run_on_one([]() -> h::task<> {
    std::vector<int> seen;
    try {
      co_await h::parallel_for_each(0, 64, 4, [&seen](int i) {
        seen.push_back(i);
        if (i == 5) throw std::runtime_error("E");
      });
      ADD_FAILURE() << "it did not throw";
    } catch (const std::runtime_error&) {}
    EXPECT_EQ(seen, (std::vector<int>{0, 1, 2, 3, 4, 5}));
  }());
}

TEST_P(ParallelForEach, CancellingTheTaskStopsItAndReachesElementsThatWait) {
  run([]() -> h::task<> {
    std::atomic<int> waiting{0}, cancelled{0};
    auto t = h::create_task([&]() -> h::task<> {
      co_await h::parallel_for_each(0, 20, 1, [&](int) -> h::task<> {
        ++waiting;
        try {
          co_await h::sleep(1h);
        } catch (const h::cancelled_error&) {
          ++cancelled;
          throw;
        }
      });
    });
    co_await until([&] { return waiting == 20; });
    t.cancel();
    try {
      co_await t;
      ADD_FAILURE() << "it was not cancelled";
    } catch (const h::cancelled_error&) {}
    EXPECT_EQ(cancelled, 20);

    std::atomic<long> steps{0};
    auto computes = h::create_task([&]() -> h::task<> {
      co_await h::parallel_for_each(std::int64_t{0}, std::int64_t{1} << 60, 100,
                                    [&](std::int64_t) { ++steps; });
    });
    co_await until([&] { return steps > 10'000; });
    computes.cancel();
    try {
      co_await computes;
      ADD_FAILURE() << "it was not cancelled";
    } catch (const h::cancelled_error&) {}
  }());
}

TEST_P(ParallelForEach, MayBeNested) {
  run([]() -> h::task<> {
    std::array<std::array<std::atomic<int>, 50>, 50> seen{};
    co_await h::parallel_for_each(seen, 4, [](auto& row) -> h::task<> {
      co_await h::parallel_for_each(row, 8, [](std::atomic<int>& cell) { ++cell; });
    });
    for (auto& row : seen)
      for (auto& cell : row) EXPECT_EQ(cell, 1);
  }());
}

TEST_P(ParallelForEach, AHugeRangeNeedsNoMemoryForIt) {
  run([]() -> h::task<> {
    const std::uint64_t n = support::sanitized ? 1'000'000 : 20'000'000;
    std::atomic<std::uint64_t> sum{0};
    co_await h::parallel_for_each(std::uint64_t{0}, n / 1000, 4, [&](std::uint64_t block) {
      std::uint64_t of_block = 0;
      for (std::uint64_t i = 1000 * block; i < 1000 * (block + 1); ++i) of_block += i;
      sum += of_block;
    });
    EXPECT_EQ(sum, n * (n - 1) / 2);
  }());
}

HEDDLE_AT_LOOPS(ParallelForEach);

TEST(ParallelForEachSimulated, EveryElementOnceInEveryInterleaving) {
  const auto failing = h::testing::explore(0, 300, {.loops = 3}, []() -> h::task<> {
    counters seen(40), read(40);
    co_await h::parallel_for_each(0, 40, 3, [&seen](int i) -> h::task<> {
      if (i % 5 == 0) co_await h::sleep(std::chrono::microseconds(i));
      if (i % 7 == 0) co_await h::yield_now();
      seen(static_cast<std::size_t>(i));
    });
    if (!seen.all_are(1)) throw std::logic_error("an element was lost or doubled");
    std::forward_list<std::size_t> list;
    for (std::size_t i = 0; i < 40; ++i) list.push_front(i);
    co_await h::parallel_for_each(list, 3, [&read](std::size_t i) -> h::task<> {
      if (i % 5 == 0) co_await h::yield_now();
      read(i);
    });
    if (!read.all_are(1)) throw std::logic_error("an element of a list was lost or doubled");
    bool failed = false;
    std::atomic<int> alive{0};
    try {
      source all{.length = 60, .alive = &alive};
      co_await h::parallel_for_each(all, 2, [](source::item& item) -> h::task<> {
        co_await h::yield_now();
        if (item.alive->load() % 5 == 4) throw std::runtime_error("E");
      });
    } catch (const std::runtime_error&) { failed = true; }
    if (alive != 0) throw std::logic_error("elements were not destroyed");
    (void)failed;
  });
  if (failing) FAIL() << "seed " << failing->seed << ": " << failing->what;
}

TEST(ParallelForEachSimulated, ACancellationInAnyInterleavingLeavesNothingBehind) {
  const auto failing = h::testing::explore(0, 300, {.loops = 2}, []() -> h::task<> {
    std::atomic<int> inside{0};
    auto t = h::create_task([&inside]() -> h::task<> {
      co_await h::parallel_for_each(0, 12, 2, [&inside](int i) -> h::task<> {
        struct counts {
          std::atomic<int>& n;
          explicit counts(std::atomic<int>& all) : n(all) { ++n; }
          ~counts() { --n; }
        } here(inside);
        co_await h::sleep(std::chrono::microseconds(i));
      });
    });
    co_await h::sleep(std::chrono::microseconds(h::testing::choose(30)));
    t.cancel();
    try {
      co_await t;
    } catch (const h::cancelled_error&) {}
    if (inside != 0) throw std::logic_error("an element outlived the call");
  });
  if (failing) FAIL() << "seed " << failing->seed << ": " << failing->what;
}

}  // namespace
