// SPDX-License-Identifier: MIT
#include <heddle/sync/waiting/leavers.h>

namespace heddle::detail {

void leavers::forget(wait_queue& lock) noexcept {
  for (backoff wait;; wait.pause()) {
    lock.lock();
    for (waiter* w = list_.first(); w;) {
      waiter* const next = w->next;
      // Once the flag is set, the task does not take the lock, and its frame may be freed. So the
      // entry is unlinked before the flag is set. If the task set the flag first, it is on its way
      // to the lock. Then its frame stands, and the entry is linked again for remove().
      list_.unlink(*w);
      // pairs with runs_on()
      if (w->past.exchange(true, acq_rel)) list_.link_before(*w, next);
      w = next;
    }
    const bool none = list_.empty();
    lock.unlock();
    if (none) return;
  }
}

}  // namespace heddle::detail
