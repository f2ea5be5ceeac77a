// SPDX-License-Identifier: MIT
// The fixture of tests that run at several numbers of loops, and what tests of the scheduler share.
#pragma once

#include <heddle/core/errors.h>
#include <heddle/sched/runtime.h>

#include <support/waiting.h>

#include <gtest/gtest.h>

#include <atomic>
#include <concepts>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace support {

/// The fixture of tests that run at several numbers of loops, which are their parameter.
/// HEDDLE_AT_LOOPS(suite) runs them at 1, 2 and 8; HEDDLE_AT_THESE_LOOPS(suite, 2u, 8u) elsewhere.
class at_loops : public testing::TestWithParam<unsigned> {
 protected:
  [[nodiscard]] static unsigned loops() { return GetParam(); }
  [[nodiscard]] static heddle::options with() {
    heddle::options o;
    o.loops = GetParam();
    return o;
  }
  /// Runs `main` on a runtime of its own.
  template <class T>
  static T run(heddle::task<T> main) {
    return heddle::run(std::move(main), with());
  }
  /// Runs the task `body(args...)` so. `body` lives as long as it.
  template <class F, class... Args>
    requires std::invocable<F&, Args...>
  static auto run(F body, Args&&... args) {
    return heddle::run(body(std::forward<Args>(args)...), with());
  }
};

#define HEDDLE_AT_THESE_LOOPS(suite, ...)                                \
  INSTANTIATE_TEST_SUITE_P(Loops, suite, ::testing::Values(__VA_ARGS__), \
                           [](const auto& p) { return std::to_string(p.param); })
#define HEDDLE_AT_LOOPS(suite) HEDDLE_AT_THESE_LOOPS(suite, 1u, 2u, 8u)

[[nodiscard]] inline heddle::options one_loop() {
  heddle::options o;
  o.loops = 1;
  return o;
}

/// Runs `main` on one loop, where asyncio's exact order holds.
template <class T>
T run_on_one(heddle::task<T> main) {
  return heddle::run(std::move(main), one_loop());
}

/// Leaves run at once.
struct stop_now : heddle::fatal_error {
  stop_now() : fatal_error("stop now") {}
};

/// Collects what the exception handler is told, and notices calls that overlap.
class reports {
 public:
  heddle::options& install(heddle::options& o) {
    o.exception_handler = [this](const heddle::error_context& what) { see(what); };
    return o;
  }
  void see(const heddle::error_context& what) {
    if (inside_.fetch_add(1) != 0) overlapped_ = true;
    {
      std::lock_guard hold(lock_);
      all_.push_back(what);
    }
    inside_.fetch_sub(1);
  }
  [[nodiscard]] std::size_t count() const {
    std::lock_guard hold(lock_);
    return all_.size();
  }
  [[nodiscard]] heddle::error_context at(std::size_t i) const {
    std::lock_guard hold(lock_);
    return all_.at(i);
  }
  [[nodiscard]] bool overlapped() const { return overlapped_; }

 private:
  mutable std::mutex lock_;
  std::vector<heddle::error_context> all_;
  std::atomic<int> inside_{0};
  std::atomic<bool> overlapped_{false};
};

}  // namespace support
