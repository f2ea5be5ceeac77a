// SPDX-License-Identifier: MIT
// Internal to sched.
// What the threads of a pool take of the thread that makes the pool.
#pragma once

#include <heddle/core/checked.h>
#include <heddle/sched/loop/thread_signals.h>

#include <sys/resource.h>

namespace heddle::detail {

/// Its signals, and its niceness with something added. Linux's threads have a niceness each. Some
/// threads are started by others of the pool, so it is fixed when the pool is made. It only grows,
/// which needs no right.
class thread_manners {
 public:
  explicit thread_manners(unsigned gives_way) noexcept
      : is_nice_(gives_way != 0),
        niceness_(::getpriority(PRIO_PROCESS, 0) + narrow<int>(gives_way)) {}
  /// The calling thread, which has just begun, has them from now on.
  void take() const noexcept {
    signals_.take();
    if (is_nice_) ::setpriority(PRIO_PROCESS, 0, niceness_);
  }

 private:
  const thread_signals signals_;
  const bool is_nice_;
  const int niceness_;
};

}  // namespace heddle::detail
