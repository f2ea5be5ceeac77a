// SPDX-License-Identifier: MIT
#include <heddle/sync/waiting/leavers.h>

namespace heddle::detail {

void leavers::forget(wait_queue& lock) noexcept {
  for (backoff wait;; wait.pause()) {
    lock.lock();
    for (waiter* w = list_.first(); w;) {
      waiter* const next = w->next;
      // Unlinked first: once the flag is set the task does not take the lock, and its frame may go.
      // If the task was faster it comes for the lock, so its entry stands, and is linked again. The
      // exchange pairs with runs_on().
      list_.unlink(*w);
      if (w->past.exchange(true, acq_rel)) list_.link_before(*w, next);
      w = next;
    }
    const bool none = list_.empty();
    lock.unlock();
    if (none) return;
  }
}

}  // namespace heddle::detail
