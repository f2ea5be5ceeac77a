// SPDX-License-Identifier: MIT
// Programs whose cost must not grow with the square of n: for the tests that count their steps, and
// for the table of their times.
#pragma once

#include <heddle/sched/async_generator.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>
#include <heddle/sync/mutex.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

namespace support::costs {

namespace h = heddle;

/// What is measured: steps, or nanoseconds. Each program reads it once when its n are in place, and
/// once when they are through.
struct meter {
  std::uint64_t (*now)();
  /// The same for what begins at a time of its own.
  std::uint64_t (*at)(h::time_point due);
};

inline h::task<> for_ever() { co_await h::sleep(std::chrono::hours(10)); }

/// Ends well when it was cancelled, or came too late.
inline h::task<> ended(h::task_handle<> t) {
  try {
    co_await t;
  } catch (const h::cancelled_error&) {
  } catch (const h::timeout_error&) {}
}
inline h::task<> all_ended(std::vector<h::task_handle<>>& all) {
  for (auto& t : all) {
    auto one = ended(t);
    co_await std::move(one);
  }
}
inline std::vector<std::size_t> shuffled(std::size_t n) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937_64 random(7);
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  return order;
}

inline h::task<> until(h::time_point deadline) {
  auto block = h::timeout_at(deadline, [] { return for_ever(); });
  co_await std::move(block);
}
inline h::task<std::uint64_t> time_outs_that_expire_together(meter m, std::size_t n) {
  std::vector<h::task_handle<>> all;
  all.reserve(n);
  // Late enough for all to be in place by then.
  const auto due =
      h::clock::now() + std::chrono::milliseconds(200) + n * std::chrono::microseconds(6);
  for (std::size_t i = 0; i < n; ++i) all.push_back(h::create_task(until(due)));
  co_await h::yield_now();
  const auto before = m.at(due);
  auto over = all_ended(all);
  co_await std::move(over);
  co_return m.now() - before;
}

inline h::task<std::uint64_t> a_group_is_cancelled(meter m, std::size_t n) {
  std::uint64_t before = 0;
  auto body = [&](h::task_group& g) -> h::task<> {
    for (std::size_t i = 0; i < n; ++i) g.create_task(for_ever());
    co_await h::yield_now();
    before = m.now();
    g.cancel();
  };
  auto group = h::with_task_group(body);
  co_await std::move(group);
  co_return m.now() - before;
}

inline h::task<> joins(h::task_handle<> t) { co_await t; }
inline h::task<std::uint64_t> joiners_of_one_handle(meter m, std::size_t n) {
  auto target = h::create_task(for_ever());
  std::vector<h::task_handle<>> all;
  all.reserve(n);
  for (std::size_t i = 0; i < n; ++i) all.push_back(h::create_task(joins(target)));
  co_await h::yield_now();
  const auto before = m.now();
  (void)target.cancel();
  auto over = all_ended(all);
  co_await std::move(over);
  co_return m.now() - before;
}

inline h::task<> locks(h::mutex& m) {
  co_await m.lock();
  m.unlock();
}
inline h::task<std::uint64_t> waiters_of_a_mutex_are_cancelled(meter m, std::size_t n) {
  h::mutex lock;
  co_await lock.lock();
  std::vector<h::task_handle<>> all;
  all.reserve(n);
  for (std::size_t i = 0; i < n; ++i) all.push_back(h::create_task(locks(lock)));
  co_await h::yield_now();
  const auto order = shuffled(n);
  const auto before = m.now();
  for (const auto i : order) (void)all[i].cancel();
  auto over = all_ended(all);
  co_await std::move(over);
  const auto took = m.now() - before;
  lock.unlock();
  co_return took;
}

inline h::task<std::uint64_t> timers_are_cancelled(meter m, std::size_t n) {
  std::vector<h::callback_handle> calls;
  std::vector<h::task_handle<>> sleepers;
  calls.reserve(n);
  sleepers.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    calls.push_back(h::current_loop().call_later(std::chrono::hours(1), [] {}));
    sleepers.push_back(h::create_task(for_ever()));
  }
  co_await h::yield_now();
  const auto order = shuffled(n);
  const auto before = m.now();
  for (const auto i : order) {
    calls[i].cancel();
    (void)sleepers[i].cancel();
  }
  auto over = all_ended(sleepers);
  co_await std::move(over);
  co_return m.now() - before;
}

inline h::async_generator<int> source() {
  for (int i = 0;; ++i) co_yield i;
}
inline h::async_generator<int> passed_on(h::async_generator<int> from) {
  for (;;) {
    auto* item = co_await from.next();
    if (!item) break;
    co_yield *item;
  }
}
inline h::async_generator<int> nested(std::size_t n) {
  auto all = source();
  for (std::size_t i = 1; i < n; ++i) all = passed_on(std::move(all));
  return all;
}
inline h::task<std::uint64_t> nested_generators_are_closed(meter m, std::size_t n) {
  auto all = nested(n);
  (void)co_await all.next();
  const auto before = m.now();
  {
    auto closing = all.aclose();
    co_await std::move(closing);
  }
  all = {};  // the outermost is closed, and goes with those that it reads from
  co_await h::yield_now();
  co_return m.now() - before;
}

inline h::task<> fails() {
  throw std::runtime_error("a join fails");
  co_return;
}
inline h::task<> leaf() { co_return; }
inline h::task<> chain(std::size_t n) {
  if (n == 0) co_return;
  auto both = h::fork_join(chain(n - 1), leaf());
  co_await std::move(both);
}
inline h::task<std::uint64_t> forks_after_a_failed_join(meter m, std::size_t n) {
  try {
    auto both = h::fork_join(fails(), leaf());
    co_await std::move(both);
  } catch (const std::runtime_error&) {}
  const auto before = m.now();
  auto all = chain(n);
  co_await std::move(all);
  co_return m.now() - before;
}

}  // namespace support::costs
