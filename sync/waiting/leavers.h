// SPDX-License-Identifier: MIT
// Internal to sync; installed, since public headers need it.
// Those that a primitive has let go and that have not run on yet. Not a public header.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/record/wait.h>

namespace heddle::detail {

// Protocol LEAVERS.
//
// Problem   Between the hand-over and its next step a task is neither waiting nor past the wait. A
//           newcomer that runs in between must not overtake it (semaphore), and a reset in between
//           must reach it (barrier). So the primitive keeps it in a list, and the task takes itself
//           out when it runs on. But the primitive may be destroyed before that, for instance by
//           the task that made the hand-over.
// Chosen    Each leaver has a flag, which the task sets when it runs on, and the primitive's
//           destructor sets when it comes first. Whoever finds the flag set already knows of the
//           other. A task that comes second leaves the primitive alone. A destructor that comes
//           second waits until the task has taken itself out.
// Cost      Two locked operations for each wait that was suspended: the flag and the queue's lock.
class leavers {
 public:
  [[nodiscard]] bool empty() const noexcept { return list_.empty(); }
  /// `w` was claimed and unlinked by the caller, who schedules its task. The primitive's lock is
  /// held.
  void add(waiter& w) noexcept { list_.link_before(w, nullptr); }
  /// The task of `w` runs on. False: the primitive is gone. True: the caller takes the lock and
  /// calls remove().
  [[nodiscard]] static bool runs_on(waiter& w) noexcept {
    return !w.past.exchange(true, acq_rel);  // pairs with forget()
  }
  void remove(waiter& w) noexcept { list_.unlink(w); }
  /// The longest among them, and from there by `next`. The lock is held.
  [[nodiscard]] waiter* first() const noexcept { return list_.first(); }
  /// The primitive is destroyed. `lock` is its queue's, and not held.
  void forget(wait_queue& lock) noexcept;

 private:
  wait_list list_;
};

}  // namespace heddle::detail
