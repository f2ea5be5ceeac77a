// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/atomic.h>
#include <heddle/core/config.h>
#include <heddle/core/world.h>

#include <cstdint>

namespace heddle::detail {

/// A lock for sections of a few instructions in which nothing of the user's runs and nothing blocks.
/// Cost      1 locked operation to take, a plain store to release; 4 bytes.
/// Ordering  unlock() (release) pairs with the lock() (acquire) that follows.
/// A holder may be preempted, so waiting turns from spinning to yielding the processor.
class spin_lock {
 public:
  void lock() noexcept {
    noted(happening::locked);
    if (held_.exchange(1, acquire) != 0) [[unlikely]]
      lock_slow();
  }
  /// For what simulated programs share with each other and with real threads, and hold only where they are uninterrupted. Who holds it then
  /// runs on another processor, so that no world need go on meanwhile, and its seed decides nothing.
  void lock_for_all_worlds() noexcept {
    noted(happening::locked);
    if (held_.exchange(1, acquire) != 0) [[unlikely]]
      lock_slow_for_all_worlds();
  }
  bool try_lock() noexcept { return held_.load(relaxed) == 0 && held_.exchange(1, acquire) == 0; }
  void unlock() noexcept { held_.store(0, release); }

 private:
  HEDDLE_COLD void lock_slow() noexcept;
  HEDDLE_COLD void lock_slow_for_all_worlds() noexcept;

  atomic<std::uint32_t> held_{0};
};

/// What a spinner does between two looks: pause at first, then let others run.
class backoff {
 public:
  void pause() noexcept {
    if (turns_ < 6 && this_world() == nullptr) {
      for (unsigned i = 0; i < (1u << turns_); ++i) cpu_relax();
      ++turns_;
    } else {
      yield_thread();
    }
  }

 private:
  unsigned turns_ = 0;
};

}  // namespace heddle::detail
