// SPDX-License-Identifier: MIT
// Protocol PLACES of the HTTP client: whoever is cancelled in whatever moment, no place is lost,
// and there are never more than the limit.
#include <heddle/core/errors.h>
#include <heddle/io/http/calling/connections.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/simulate.h>
#include <heddle/sched/sleep.h>

#include <support/waiting.h>

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <vector>

namespace {

namespace h = heddle;
using h::http::detail::connection_pool;
using h::http::detail::taken;
using pool_ptr = h::detail::counted_ptr<connection_pool>;

struct counts {
  std::atomic<int> now{0};
  std::atomic<int> most{0};
  std::atomic<int> served{0};
};

/// Takes a place, holds it for a few turns, and gives it back.
h::task<> use(pool_ptr pool, std::string where, int turns, counts& c) {
  taken got = pool->take(where);
  if (!got.room) {
    auto waiting = pool->wait_for_place(where);
    got = co_await waiting;
  }
  const int now = ++c.now;
  for (int was = c.most; was < now && !c.most.compare_exchange_weak(was, now);) {}
  const std::shared_ptr<void> leaving(nullptr, [&c](void*) { --c.now; });
  for (int i = 0; i < turns; ++i) co_await h::yield_now();
  ++c.served;
}

pool_ptr pool_of(std::size_t limit, std::size_t per_host) {
  h::http::session_options o;
  o.pool.limit = limit;
  o.pool.per_host = per_host;
  return pool_ptr(new connection_pool(o));
}

h::task<> cancel_at_random(unsigned seed, int rounds) {
  std::mt19937 random(seed);
  const pool_ptr pool = pool_of(2, 1);
  counts c;
  int kept = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<h::task_handle<>> all;
    for (unsigned i = 0; i < 8; ++i) {
      const int turns = static_cast<int>(random() % 3);
      all.push_back(h::create_task(use(pool, "host" + std::to_string(random() % 3), turns, c)));
    }
    for (unsigned i = random() % 6; i > 0; --i) co_await h::yield_now();
    for (unsigned i = 0; i < 4; ++i) {
      all[random() % 4].cancel();
      if (random() % 2 == 0) co_await h::yield_now();
    }
    for (auto& t : all) {
      auto done = support::until_done(t);
      co_await done;
    }
    kept += 4;  // the last four are never cancelled
    EXPECT_GE(c.served.load(), kept);
    EXPECT_EQ(pool->open(), 0u);
  }
  EXPECT_LE(c.most.load(), 2);
}

TEST(HttpPlaces, AreNotLostByRandomCancelsOnAnyLoops) {
  for (const unsigned loops : {1u, 2u, 8u}) {
    h::options o;
    o.loops = loops;
    h::run(cancel_at_random(loops, support::rounds(8000)), o);
  }
}

TEST(HttpPlaces, AreNotLostByRandomCancelsInAnyOrder) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    h::options o;
    o.loops = 4;
    h::testing::simulation_limits limits;
    limits.steps = 50'000'000;
    h::testing::simulate(
        seed, o, [seed] { return cancel_at_random(seed, support::rounds(300)); }, limits);
  }
}

h::task<> in_order() {
  const pool_ptr pool = pool_of(1, 0);
  std::vector<int> order;
  taken first = pool->take("a");
  EXPECT_TRUE(first.room);
  std::vector<h::task_handle<>> all;
  for (int i = 0; i < 5; ++i) {
    auto wait = [](pool_ptr p, int n, std::vector<int>& into) -> h::task<> {
      auto waiting = p->wait_for_place("h" + std::to_string(n % 2));
      const taken got = co_await waiting;
      EXPECT_TRUE(got.room);
      into.push_back(n);  // one at a time: there is one place
    };
    all.push_back(h::create_task(wait(pool, i, order)));
    auto waits = support::until_waiting(all.back());
    co_await waits;
  }
  first = {};
  for (auto& t : all) co_await t;
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(HttpPlaces, GoToTheFirstThatWaits) {
  for (const unsigned loops : {1u, 8u}) {
    h::options o;
    o.loops = loops;
    h::run(in_order(), o);
  }
}

h::task<> fails_when_the_session_goes() {
  const pool_ptr pool = pool_of(1, 0);
  const taken held = pool->take("a");
  auto waiting = h::create_task(pool->wait_for_place("b"));
  auto waits = support::until_waiting(waiting);
  co_await waits;
  pool->retire();
  bool failed = false;
  try {
    (void)co_await waiting;
  } catch (const h::usage_error&) { failed = true; }
  EXPECT_TRUE(failed);
  EXPECT_THROW((void)pool->take("a"), h::usage_error);
}

TEST(HttpPlaces, WaitsFailWhenTheSessionGoes) { h::run(fails_when_the_session_goes()); }

}  // namespace
