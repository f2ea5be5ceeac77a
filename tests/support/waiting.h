// SPDX-License-Identifier: MIT
// What all tests share: waiting for what others do, writing down what happened, and fewer rounds
// under a sanitizer.
#pragma once

#include <heddle/core/base/config.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace support {

/// Whether this program runs under a sanitizer: there it does the same with fewer rounds.
inline constexpr bool sanitized = HEDDLE_ASAN || HEDDLE_TSAN;
[[nodiscard]] constexpr int rounds(int n) { return sanitized ? (n / 10 > 0 ? n / 10 : 1) : n; }

/// Lets others run until `condition()` holds. A minute without it is a failure: something hangs.
template <class F>
heddle::task<> until(F condition) {
  const auto limit = heddle::clock::now() + std::chrono::minutes(1);
  for (int i = 0; !condition(); ++i) {
    if (heddle::clock::now() > limit)
      throw std::runtime_error("what the test waits for does not happen");
    // Yields first; later lets the processor go, for what needs time.
    if (i < 200)
      co_await heddle::yield_now();
    else
      co_await heddle::sleep(std::chrono::microseconds(100));
  }
}
/// The same for what takes a while: lets the processor go from the start.
template <class F>
heddle::task<> until_later(F condition) {
  co_await heddle::sleep(std::chrono::microseconds(200));
  auto rest = until(std::move(condition));
  co_await std::move(rest);
}

/// It stands in a wait that a cancellation can claim, and so in the queue of what it waits for.
[[nodiscard]] inline bool waits(const heddle::any_task& t) {
  return t.state().starts_with("waiting");
}
/// Until it does, or has ended.
inline heddle::task<> until_waiting(heddle::any_task t) {
  auto wait = until([t] { return t.done() || waits(t); });
  co_await std::move(wait);
}
inline heddle::task<> until_done(heddle::any_task t) {
  auto wait = until([t] { return t.done(); });
  co_await std::move(wait);
}
/// Sleeps until it is cancelled, having said that it is about to.
inline heddle::task<> sleep_long(std::atomic<bool>& started) {
  started = true;
  co_await heddle::sleep(std::chrono::hours(1));
}
/// Yields until all that is ready on one loop has run; on several, gives the others a chance.
inline heddle::task<> settle() {
  for (int i = 0; i < 20; ++i) co_await heddle::yield_now();
}

/// For the captures of a callback: counts when the last copy is destroyed. What the callback did
/// happened before that; the use_count of a shared_ptr promises no such thing.
[[nodiscard]] inline std::shared_ptr<void> counts_when_gone(std::atomic<int>& count) {
  return {&count, [](void* c) { ++*static_cast<std::atomic<int>*>(c); }};
}

/// What happened, in order, from any thread.
class journal {
 public:
  void add(std::string line) {
    std::lock_guard hold(lock_);
    lines_.push_back(std::move(line));
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::lock_guard hold(lock_);
    return lines_;
  }
  /// All of it, with blanks between.
  [[nodiscard]] std::string joined() const {
    std::string all;
    for (const auto& line : lines()) all += (all.empty() ? "" : " ") + line;
    return all;
  }

 private:
  mutable std::mutex lock_;
  std::vector<std::string> lines_;
};

}  // namespace support
