// SPDX-License-Identifier: MIT
// Internal to sync; installed, since public headers need it.
// The tasks that a primitive has let go and that have not run on yet.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/record/wait.h>

namespace heddle::detail {

// Protocol LEAVERS.
//
// A task runs on when its coroutine takes the first step after the wait. A leaver is a task that
// was handed what it waited for and has not run on yet.
//
// Problem   A leaver is neither waiting nor past the wait. A newcomer must not overtake it
//           (semaphore). A reset must reach it (barrier). So the primitive keeps the leavers in a
//           list, and each takes itself out when it runs on. But the primitive may be destroyed
//           before that, for instance by the task that made the hand-over.
// Rejected  A count of leavers. A primitive that is destroyed could not tell its leavers, and they
//           would look for it in freed memory.
// Chosen    Each leaver has a flag. The leaver sets it when it runs on; the primitive's destructor
//           sets it too. The one that finds it set is the second. A leaver that is second does not
//           touch the primitive. A destructor that is second waits until the leaver is out.
// Cost      Two locked operations for each wait that was suspended: the flag and the queue's lock.
class leavers {
 public:
  [[nodiscard]] bool empty() const noexcept { return list_.empty(); }
  /// Adds a waiter that the caller has claimed and unlinked. The caller schedules its task after
  /// the unlock. The primitive's lock is held.
  void add(waiter& w) noexcept { list_.link_before(w, nullptr); }
  /// The task of `w` runs on. True: the caller takes the primitive's lock and calls remove().
  /// False: the primitive is gone.
  [[nodiscard]] static bool runs_on(waiter& w) noexcept {
    // pairs with forget()
    return !w.past.exchange(true, acq_rel);
  }
  /// The lock is held.
  void remove(waiter& w) noexcept { list_.unlink(w); }
  /// The leaver that was let go first; `next` leads to the others. The lock is held.
  [[nodiscard]] waiter* first() const noexcept { return list_.first(); }
  /// Called by the primitive's destructor: returns when no leaver will touch the primitive again.
  /// `lock` is the primitive's queue; its lock is not held.
  void forget(wait_queue& lock) noexcept;

 private:
  wait_list list_;
};

}  // namespace heddle::detail
