// SPDX-License-Identifier: MIT
// What the conformance cases share. A case is a test whose name begins with its id:
//
//   TEST_P(LOCK, LOCK_05_ACancelledWaiterLeavesTheQueue) {
//     run([]() -> h::task<> {
//       ...
//       HOLDS(m.locked());
//       EQUAL(co_await ending(t), "cancelled");
//     });
//   }
//
// Each runs at 1, 2 and 8 loops. What holds only when everything runs on one loop ([ST] in the
// catalogue) is asked for under `if (one_loop())`, the weaker promise otherwise. What is asked is
// counted, so that a case that asks nothing is noticed: use HOLDS, EQUAL, THROWS and ENDS_AS here,
// and not EXPECT_*.
#pragma once

#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>

#include <support/loops.h>
#include <support/waiting.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace conformance {

namespace h = heddle;
using namespace std::chrono_literals;
using support::counts_when_gone;
using support::journal;
using support::rounds;
using support::sanitized;
using support::settle;
using support::until;
using support::until_done;
using support::until_waiting;
using support::waits;

inline std::atomic<std::size_t> assertions{0};
inline bool asked(bool held) {
  assertions.fetch_add(1, std::memory_order_relaxed);
  return held;
}

#define HOLDS(...) EXPECT_TRUE(::conformance::asked(static_cast<bool>(__VA_ARGS__))) << #__VA_ARGS__
#define EQUAL(...)                    \
  do {                                \
    (void)::conformance::asked(true); \
    EXPECT_EQ(__VA_ARGS__);           \
  } while (false)
/// Not inside a coroutine's await: for calls that throw at once.
#define THROWS(type, ...)                    \
  do {                                       \
    (void)::conformance::asked(true);        \
    EXPECT_THROW((void)(__VA_ARGS__), type); \
  } while (false)

/// E and F of the catalogue: errors of the user's.
struct error_e : std::runtime_error {
  error_e() : std::runtime_error("E") {}
};
struct error_f : std::runtime_error {
  error_f() : std::runtime_error("F") {}
};

/// What an error is called in the catalogue: "Cancelled", "Timeout", "E", "F", "Usage", "BadValue",
/// "InvalidState", "Group{E,F}", ...; "none" for null.
std::string name_of(const std::exception_ptr& error);

/// Base of the groups: the parameter is the number of loops.
class cases : public support::at_loops {
 protected:
  /// Above the loops a group may keep what else it varies (io_cases.h).
  [[nodiscard]] static unsigned loops() { return GetParam() % 100; }
  [[nodiscard]] static bool one_loop() { return loops() == 1; }

  /// Runs `body(args...)`, a task, to its end on a runtime of its own. Reports are gathered in
  /// `reports`; other options by changing `options`.
  template <class F, class... Args>
  auto run(F body, Args&&... args) {
    return h::run(body(std::forward<Args>(args)...), with());
  }
  /// `options` with the case's loops and its exception handler.
  [[nodiscard]] h::options with() {
    h::options o = options;
    o.loops = loops();
    if (!o.exception_handler) o.exception_handler = [this](const h::error_context& c) { note(c); };
    return o;
  }
  [[nodiscard]] std::size_t report_count() const {
    std::lock_guard hold(lock_);
    return reports_.size();
  }
  [[nodiscard]] std::vector<h::error_context> reports() const {
    std::lock_guard hold(lock_);
    return reports_;
  }
  void note(const h::error_context& c) {
    std::lock_guard hold(lock_);
    reports_.push_back(c);
  }

  void SetUp() override { assertions = 0; }
  void TearDown() override {
    const auto n = assertions.load();
    RecordProperty("assertions", static_cast<int>(n));
    if (!IsSkipped() && !HasFailure()) EXPECT_NE(n, 0u) << "a case that asks nothing";
  }

  h::options options;

 private:
  mutable std::mutex lock_;
  std::vector<h::error_context> reports_;
};

/// The suite of a group: CASES(LOCK); and then TEST_P(LOCK, LOCK_01_...).
#define CASES(group)                            \
  class group : public ::conformance::cases {}; \
  HEDDLE_AT_LOOPS(group)

/// Awaits it and tells how it ended: "value", or the name of the error (name_of), with ": message"
/// behind Cancelled if there is one.
template <class A>
h::task<std::string> ending(A awaitable) {
  std::exception_ptr error;
  try {
    (void)co_await std::move(awaitable);
  } catch (...) { error = std::current_exception(); }
  if (!error) co_return "value";
  co_return name_of(error);
}
template <>
inline h::task<std::string> ending(h::task<void> awaitable) {
  std::exception_ptr error;
  try {
    co_await std::move(awaitable);
  } catch (...) { error = std::current_exception(); }
  if (!error) co_return "value";
  co_return name_of(error);
}
template <>
inline h::task<std::string> ending(h::task_handle<void> awaitable) {
  std::exception_ptr error;
  try {
    co_await awaitable;
  } catch (...) { error = std::current_exception(); }
  if (!error) co_return "value";
  co_return name_of(error);
}
template <>
inline h::task<std::string> ending(h::future<void> awaitable) {
  std::exception_ptr error;
  try {
    co_await awaitable;
  } catch (...) { error = std::current_exception(); }
  if (!error) co_return "value";
  co_return name_of(error);
}

/// A task that does nothing but sleep until it is cancelled.
inline h::task<> sleep_long() { co_await h::sleep(1h); }

}  // namespace conformance
