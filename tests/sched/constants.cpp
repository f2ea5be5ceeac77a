// SPDX-License-Identifier: MIT
// Handles, futures and shields that are constants, as a lambda that has captured them by value sees
// them: every verb takes them.
#include <heddle/core/future.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/ensure_future.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sched/wait_many.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;

class Constants : public support::at_loops {};
HEDDLE_AT_LOOPS(Constants);

h::task<int> seven() {
  co_await h::yield_now();
  co_return 7;
}

/// Everything that takes what is shared, of a constant.
template <class A>
h::task<> in_every_verb(const A shared) {
  auto limited = h::wait_for(shared, 1h);
  EXPECT_EQ(co_await std::move(limited), 7);
  auto optional = h::wait_for(shared, std::optional(1h));
  EXPECT_EQ(co_await std::move(optional), 7);
  auto unlimited = h::wait_for(shared, std::nullopt);
  EXPECT_EQ(co_await std::move(unlimited), 7);
  auto given_away = h::wait_for(static_cast<const A&&>(shared), 1h);
  EXPECT_EQ(co_await std::move(given_away), 7);
  auto body = [shared]() -> h::task<int> {
    auto inner = h::wait_for(shared, 1h);
    co_return co_await std::move(inner);
  };
  auto block = h::timeout(1h, body);
  EXPECT_EQ(co_await std::move(block), 7);
  const std::vector<A> all{shared, shared};
  auto waited = h::wait(all, h::wait_until::all_completed, 1h);
  const auto got1 = co_await std::move(waited);
  EXPECT_EQ(got1.done.size(), 1u);
  auto ends = h::as_completed(all);
  int came = 0;
  for (;;) {
    auto next = co_await ends.next();
    if (!next) break;
    ++came;
  }
  EXPECT_EQ(came, 1);
  auto gathered = h::gather(shared, shared);
  const auto [a, b] = co_await std::move(gathered);
  EXPECT_EQ(a + b, 14);
}

template <class A>
h::task<> in_the_others(const A shared) {
  auto apart = h::shield(shared);
  EXPECT_EQ(co_await apart, 7);
  auto same = h::ensure_future(shared);
  EXPECT_EQ(co_await same, 7);
  auto mixed = h::as_completed(shared, shared);
  auto first = co_await mixed.next();
  EXPECT_TRUE(first.has_value());
}

TEST_P(Constants, AHandleGoesIntoEveryVerb) {
  run([]() -> h::task<> {
    const auto running = h::create_task(seven());
    co_await in_every_verb(running);
    co_await in_the_others(running);
  }());
}

TEST_P(Constants, AFutureGoesIntoEveryVerb) {
  run([]() -> h::task<> {
    h::promise<int> p;
    const auto f = p.get_future();
    p.set_value(7);
    co_await in_every_verb(f);
    co_await in_the_others(f);
  }());
}

TEST_P(Constants, AShieldGoesIntoEveryVerb) {
  run([]() -> h::task<> {
    const auto running = h::create_task(seven());
    const auto apart = h::shield(running);
    co_await in_every_verb(apart);
  }());
}

TEST_P(Constants, ALimitOnAConstantHandleCancelsItsTask) {
  run([]() -> h::task<> {
    const auto sleeper = h::create_task([]() -> h::task<> { co_await h::sleep(1h); }());
    bool late = false;
    try {
      auto limited = h::wait_for(sleeper, 1us);
      co_await std::move(limited);
    } catch (const h::timeout_error&) { late = true; }
    EXPECT_TRUE(late);
    EXPECT_TRUE(sleeper.cancelled());
  }());
}

}  // namespace
