// SPDX-License-Identifier: MIT
// An operation, and a wait_for around one, that is named before it is awaited: the name owns all
// that it needs. An operation may be moved until it has suspended a task.
#include <heddle/core/errors.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sync/barrier.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/event.h>
#include <heddle/sync/latch.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>
#include <heddle/sync/shared_mutex.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;

class NamedOperation : public support::at_loops {};

/// Awaits a wait_for that was made in a call which has returned, so that nothing of the call's
/// own place is left. Yields whether it ended in time.
template <class W>
h::task<bool> in_time(W wait) {
  try {
    (void)co_await std::move(wait);
    co_return true;
  } catch (const h::timeout_error&) { co_return false; }
}

/// Writes over the stack where a temporary of a call may have stood.
[[gnu::noinline]] void scrub() {
  volatile unsigned char waste[2048];
  for (auto& byte : waste) byte = 0xa5;
}

template <class Make>
h::task<bool> named(Make make) {
  auto wait = make();
  scrub();
  auto ended = in_time(std::move(wait));
  co_return co_await std::move(ended);
}

TEST_P(NamedOperation, IsOwnedByTheWaitForAroundIt) {
  run([]() -> h::task<> {
    h::event set;
    set.set();
    h::event never;
    h::mutex free;
    h::mutex held;
    co_await held.lock();
    h::semaphore none(0);
    h::barrier two(2);
    h::latch open(1);
    h::shared_mutex shared;
    h::queue<std::string> q;
    co_await q.put("a text too long for a small string");
    bool ended = co_await named([&] { return h::wait_for(set.wait(), 1h); });
    EXPECT_TRUE(ended);
    ended = co_await named([&] { return h::wait_for(never.wait(), 1ms); });
    EXPECT_FALSE(ended);
    ended = co_await named([&] { return h::wait_for(free.scoped_lock(), 1h); });
    EXPECT_TRUE(ended);
    ended = co_await named([&] { return h::wait_for(held.lock(), 1ms); });
    EXPECT_FALSE(ended);
    ended = co_await named([&] { return h::wait_for(none.acquire(), 1ms); });
    EXPECT_FALSE(ended);
    ended = co_await named([&] { return h::wait_for(two.wait(), 1ms); });
    EXPECT_FALSE(ended);
    ended = co_await named([&] { return h::wait_for(open.wait(), 1ms); });
    EXPECT_FALSE(ended);
    ended = co_await named([&] { return h::wait_for(shared.scoped_lock_shared(), 1h); });
    EXPECT_TRUE(ended);
    ended = co_await named([&] { return h::wait_for(q.get(), 1h); });
    EXPECT_TRUE(ended);
    ended = co_await named([&] { return h::wait_for(q.get(), 1ms); });
    EXPECT_FALSE(ended);
    ended = co_await named([&] { return h::wait_for(h::sleep(1ms), 1h); });
    EXPECT_TRUE(ended);
    ended = co_await named([&] { return h::wait_for(h::sleep(1h), 1ms); });
    EXPECT_FALSE(ended);
    held.unlock();
  });
}

TEST_P(NamedOperation, KeepsTheItemThatItPuts) {
  run([]() -> h::task<> {
    h::queue<std::unique_ptr<std::string>> q(1);
    co_await q.put(std::make_unique<std::string>("first"));
    auto put = h::wait_for(q.put(std::make_unique<std::string>("second")), 1h);
    scrub();
    auto putting = h::create_task(std::move(put));
    const auto first = co_await q.get();
    EXPECT_EQ(*first, "first");
    co_await putting;
    const auto second = co_await q.get();
    EXPECT_EQ(*second, "second");
  });
}

TEST_P(NamedOperation, OfAQueueOfMembersIsKeptToo) {
  run([]() -> h::task<> {
    std::vector<h::task_handle<int>> members;
    members.push_back(h::create_task([]() -> h::task<int> { co_return 7; }));
    auto all = h::as_completed(members);
    auto next = h::wait_for(all.next(), 1h);
    scrub();
    const auto ended = co_await std::move(next);
    EXPECT_EQ(ended->result(), 7);
  });
}

TEST(NamedOperations, CanBeMovedUntilTheySuspend) {
  support::run_on_one([]() -> h::task<> {
    h::semaphore permits(1);
    auto first = permits.acquire();
    auto moved = std::move(first);
    co_await moved;
    auto second = permits.acquire();
    auto waiting = h::create_task([](auto& second) -> h::task<> { co_await second; }(second));
    co_await h::yield_now();  // the only loop has run the other task up to its wait
    EXPECT_THROW((void)decltype(second)(std::move(second)), h::usage_error);
    permits.release();
    co_await waiting;
    permits.release();
  }());
}

HEDDLE_AT_LOOPS(NamedOperation);

}  // namespace
