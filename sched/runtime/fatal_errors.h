// SPDX-License-Identifier: MIT
// Internal to sched.
// Errors that leave run at once. Not a public header.
#pragma once

#include <heddle/sched/runtime/thread_waits.h>

#include <cstdint>
#include <exception>
#include <mutex>
#include <utility>

namespace heddle::detail {

/// Errors that leave run at once. They are counted, so that a thread knows which came after it
/// began to wait.
class fatal_errors {
 public:
  explicit fatal_errors(thread_waits& waits) noexcept : waits_(&waits) {}

  /// Keeps `error`, unless there is one that was not yet told: the first counts. Wakes the threads
  /// in run.
  void came(std::exception_ptr error) noexcept {
    const uninterrupted guard;
    std::exception_ptr before;  // destroyed after the unlock: it is the user's
    std::lock_guard hold(waits_->lock());
    if (latest_ && count_ != told_) return;
    before = std::exchange(latest_, std::move(error));
    ++count_;
    waits_->ring();
  }
  /// The error that came after the first `told` were told to a waiting thread, or null. It is told
  /// now.
  [[nodiscard]] std::exception_ptr since(std::uint64_t told) {
    std::lock_guard hold(waits_->lock());
    if (count_ == told) return nullptr;
    told_ = count_;
    return latest_;
  }
  /// So many were told to some waiting thread.
  [[nodiscard]] std::uint64_t told() const {
    std::lock_guard hold(waits_->lock());
    return told_;
  }
  /// Lock of the waits held.
  [[nodiscard]] std::uint64_t told_locked() const noexcept { return told_; }
  [[nodiscard]] bool any_since(std::uint64_t told) const noexcept { return count_ != told; }

 private:
  thread_waits* waits_;
  // Under its lock.
  std::exception_ptr latest_;
  std::uint64_t count_ = 0;
  std::uint64_t told_ = 0;
};

}  // namespace heddle::detail
