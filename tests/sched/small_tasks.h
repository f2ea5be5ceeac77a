// SPDX-License-Identifier: MIT
// Small tasks that the tests of the verbs give to them.
#pragma once

#include <heddle/core/task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/sleep.h>

#include <chrono>
#include <stdexcept>

namespace small_tasks {

namespace h = heddle;

inline h::task<int> give(int v) { co_return v; }
inline h::task<int> give_after_a_yield(int v) {
  co_await h::yield_now();
  co_return v;
}
inline h::task<int> give_late(int v) {
  co_await h::sleep(std::chrono::milliseconds(1));
  co_return v;
}
inline h::task<int> fail(const char* why) {
  throw std::runtime_error(why);
  co_return 0;
}
inline h::task<> fail_after_a_yield(const char* why) {
  co_await h::yield_now();
  throw std::runtime_error(why);
}
inline h::task<int> fail_late(const char* why) {
  co_await h::sleep(std::chrono::milliseconds(1));
  throw std::runtime_error(why);
}

inline h::task<int> fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await h::fork_join(fib(n - 1), fib(n - 2));
  co_return a + b;
}

/// Fib whose leaves really wait. The way from the root to a leaf decides how it waits.
inline h::task<int> restless_fib(int n, unsigned way = 1) {
  if (n < 2) {
    switch (way * 2654435761u % 3) {
      case 0: co_await h::yield_now(); break;
      case 1: co_await h::sleep(std::chrono::microseconds(20)); break;
      default: break;
    }
    co_return n;
  }
  auto [a, b] =
      co_await h::fork_join(restless_fib(n - 1, 2 * way), restless_fib(n - 2, 2 * way + 1));
  co_return a + b;
}

}  // namespace small_tasks
