// SPDX-License-Identifier: MIT
// What the tests of the primitives share: each runs at 1, 2 and 8 loops.
#pragma once

#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace support {

namespace h = heddle;
using namespace std::chrono_literals;

/// Base of the suites: the parameter is the number of loops.
class on_loops : public testing::TestWithParam<unsigned> {
 protected:
  /// Runs `body(args...)` to its end on a runtime of its own.
  template <class F, class... Args>
  void run(F body, Args&&... args) {
    h::run(body(std::forward<Args>(args)...), {.loops = GetParam()});
  }
  [[nodiscard]] bool one_loop() const { return GetParam() == 1; }
};
#define RUN_ON_LOOPS(suite) INSTANTIATE_TEST_SUITE_P(Loops, suite, testing::Values(1u, 2u, 8u))

/// Lets others run until `condition()` holds. A minute without it is a failure: something hangs.
template <class F>
h::task<> until(F condition) {
  const auto limit = h::clock::now() + 60s;
  while (!condition()) {
    if (h::clock::now() > limit)
      throw std::runtime_error("what the test waits for does not happen");
    co_await h::yield_now();
  }
}

/// Until `t` stands in a wait that a cancellation can claim, and so in the queue of what it waits
/// for.
inline h::task<> until_waiting(h::any_task t) {
  auto wait = until([t] {
    const auto s = h::detail::word::state(t.record()->state().load());
    return s == h::detail::task_state::leaf || s == h::detail::task_state::forwarding;
  });
  co_await std::move(wait);
}
template <class T>
h::task<> until_done(h::task_handle<T> t) {
  auto wait = until([t] { return t.done(); });
  co_await std::move(wait);
}
/// Yields until all that is ready on one loop has run; on several, gives the others a chance.
inline h::task<> settle() {
  for (int i = 0; i < 20; ++i) co_await h::yield_now();
}

/// Joins `t` and tells how it ended: "value", "cancelled", or the error's text.
template <class T>
h::task<std::string> ending(h::task_handle<T> t) {
  try {
    co_await t;
    co_return "value";
  } catch (const h::cancelled_error& e) {
    co_return e.message().empty() ? "cancelled" : "cancelled: " + e.message();
  } catch (const std::exception& e) { co_return e.what(); }
}

/// A fresh seed for each run, printed when a test fails. HEDDLE_TEST_SEED repeats one.
inline std::uint64_t test_seed() {
  const char* given = std::getenv("HEDDLE_TEST_SEED");
  return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

}  // namespace support
