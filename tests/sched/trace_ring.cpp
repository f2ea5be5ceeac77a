// SPDX-License-Identifier: MIT
// Protocol OVERWRITE: a ring that is read while its thread goes on writing.
#include <heddle/sched/loop/trace_ring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace {

using namespace heddle::detail;
using seeing::trace_cell;

constexpr std::uint64_t capacity = 64;

/// What event n is about, so that a word shows which event it is of.
std::uint64_t about(std::uint64_t n) { return n * 0x9e3779b97f4a7c15u; }

bool is_event(const trace_cell& c, std::uint64_t n) {
  return c.when == (n << seeing::trace_time_shift | 2) && c.what == about(n);
}

/// A thread that writes without a pause.
class busy_ring {
 public:
  busy_ring() : cells_(capacity), ring_(cells_.data(), capacity), writer_([this] { write(); }) {}
  ~busy_ring() {
    ends_ = true;
    writer_.join();
  }
  trace_ring& ring() { return ring_; }
  std::vector<trace_ring::cell>& cells() { return cells_; }

 private:
  void write() {
    for (std::uint64_t n = 0; !ends_.load(std::memory_order_relaxed); ++n)
      ring_.put(n, trace_event::step_begins, about(n));
  }
  std::vector<trace_ring::cell> cells_;
  trace_ring ring_;
  std::atomic<bool> ends_{false};
  std::thread writer_;
};

TEST(TraceRing, NoEventThatIsCopiedIsTorn) {
  busy_ring busy;
  std::vector<trace_cell> copied(capacity);
  std::uint64_t next = 0, taken = 0, lost = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (int looks = 0; (looks < 2000 || taken == 0) && std::chrono::steady_clock::now() < end;
       ++looks) {
    std::uint64_t first = 0;
    const auto n = busy.ring().copy(next, copied.data(), first);
    ASSERT_GE(first, next);
    lost += first - next;
    for (std::uint64_t i = 0; i < n; ++i)
      ASSERT_TRUE(is_event(copied[i], first + i)) << "event " << first + i;
    taken += n;
    next = first + n;
    ASSERT_EQ(taken + lost, next);  // each event is taken once, or counted as lost
  }
  EXPECT_GT(taken, 0u);
}

// The fault: the reader does not look at the head again.
TEST(TraceRing, AReaderThatLooksAtTheHeadOnceIsNoticed) {
  busy_ring busy;
  bool noticed = false;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!noticed && std::chrono::steady_clock::now() < end) {
    const auto whole = busy.ring().written();
    if (whole < capacity) continue;
    std::this_thread::yield();
    for (auto i = whole - capacity; i < whole; ++i) {
      const auto& c = busy.cells()[i % capacity];
      noticed = noticed || !is_event({c.when.load(relaxed), c.what.load(relaxed)}, i);
    }
  }
  EXPECT_TRUE(noticed);
}

TEST(TraceRing, WhatWasWrittenIsThereUntilItIsOverwritten) {
  std::vector<trace_ring::cell> cells(capacity);
  trace_ring ring(cells.data(), capacity);
  std::vector<trace_cell> copied(capacity);
  std::uint64_t first = 0;
  EXPECT_EQ(ring.copy(0, copied.data(), first), 0u);
  for (std::uint64_t n = 0; n < 10; ++n) ring.put(n, trace_event::step_begins, about(n));
  ASSERT_EQ(ring.copy(3, copied.data(), first), 7u);
  EXPECT_EQ(first, 3u);
  EXPECT_TRUE(is_event(copied[0], 3) && is_event(copied[6], 9));
  for (std::uint64_t n = 10; n < 200; ++n) ring.put(n, trace_event::step_begins, about(n));
  // The oldest cell is the next to be written, so its event is not told.
  ASSERT_EQ(ring.copy(0, copied.data(), first), capacity - 1);
  EXPECT_EQ(first, 200 - capacity + 1);
  EXPECT_TRUE(is_event(copied[0], first));
}

TEST(TraceRing, ATaskIsOneWordAndComesBackFromIt) {
  const std::uint64_t record = 0x7fff12345660;
  const auto name = seeing::trace_task(record, 0x123456);
  EXPECT_EQ(seeing::record_of(name), record);
  EXPECT_EQ(seeing::generation_of(name), 0x123456u & seeing::trace_generation_mask);
  const auto both = seeing::count_and_time(7, 1'000'000'007);
  EXPECT_EQ(seeing::count_in(both), 7u);
  EXPECT_EQ(seeing::time_in(both), 1'000'000'007u);
  EXPECT_EQ(seeing::time_in(seeing::count_and_time(1, ~std::uint64_t{0})),
            (std::uint64_t{1} << 40) - 1);
}

TEST(TraceRing, AThreadsRingGoesToTheNextThread) {
  trace_ring* first = nullptr;
  std::thread([&] {
    first = make_ring_of_this_thread(ring_owner::other);
    EXPECT_EQ(ring_of_this_thread(), first);
    ring_note(trace_event::job_begins, 1);
  }).join();
  if (!first) GTEST_SKIP() << "HEDDLE_TRACE says that nothing is recorded";
  trace_ring* second = nullptr;
  std::thread([&] { second = make_ring_of_this_thread(ring_owner::other); }).join();
  EXPECT_EQ(first, second);
  EXPECT_GE(second->written(), 3u);  // ring_begins twice, and what was noted
}

}  // namespace
