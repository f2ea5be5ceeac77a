// SPDX-License-Identifier: MIT
// Internal to sched.
// How the loops of a runtime that ends stop taking new work. Not a public header.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/owned.h>
#include <heddle/sched/loop/group.h>
#include <heddle/sched/runtime/thread_waits.h>

#include <cstddef>
#include <vector>

namespace heddle::detail {

/// A callback for each loop, in which the loop seals itself. What the loop started before is there
/// for all to see, and it starts nothing after.
class loop_seals {
 public:
  /// Makes the callbacks. The runtime does so when it begins, since its end must not fail for lack
  /// of memory. Throws std::bad_alloc.
  void prepare(loop_group& loops, thread_waits& waits);
  /// Sends them, and waits until each loop has sealed itself.
  void seal(loop_group& loops, thread_waits& waits) noexcept;

 private:
  struct sealing;
  std::vector<owned<callback>> seals_;  // one a loop, until it is sent
  atomic<std::size_t> unsealed_{0};
};

}  // namespace heddle::detail
