// SPDX-License-Identifier: MIT
// Internal to sched.
// Where threads wait for something of a runtime. Not a public header.
#pragma once

#include <heddle/core/simulated/world.h>
#include <heddle/sched/runtime/interrupt.h>

#include <condition_variable>
#include <mutex>

namespace heddle::detail {

/// A lock, and the threads that wait for something that is changed under it. Only foreign threads
/// wait here, and loops that stand still.
class thread_waits {
 public:
  /// Whoever holds it over an atomic operation says `uninterrupted` first.
  [[nodiscard]] std::mutex& lock() noexcept { return lock_; }
  /// Lock held: all that wait look again.
  void look_again() noexcept { changed_.notify_all(); }
  /// The same, and for the threads that sleep on the bell.
  void ring() noexcept {
    changed_.notify_all();
    bell_.ring();
  }
  /// The lock is not held: ring().
  void wake_all() noexcept {
    const uninterrupted guard;
    std::lock_guard hold(lock_);
    ring();
  }
  /// Blocks the calling thread until `done()`. That is called under the lock, after each
  /// look_again(), and in a simulation whenever another thread may run.
  template <class Done>
  void wait(Done done, when_stuck then) {
    if (world* w = this_world()) {
      const auto look = [&] {
        std::lock_guard hold(lock_);
        return done();
      };
      block_until(*w, time_point::max(), look, then);
      return;
    }
    std::unique_lock hold(lock_);
    changed_.wait(hold, done);
  }
  /// Outside of a simulation: blocks until `done()`, or for `limit`. False: not yet done.
  template <class Done>
  bool wait_for(duration limit, Done done) {
    std::unique_lock hold(lock_);
    return changed_.wait_for(hold, limit, done);
  }
  /// For threads that a signal handler wakes too.
  [[nodiscard]] bell& its_bell() noexcept { return bell_; }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  bell bell_;
};

}  // namespace heddle::detail
