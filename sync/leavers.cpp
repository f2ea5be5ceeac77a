// SPDX-License-Identifier: MIT
#include <heddle/sync/leavers.h>

namespace heddle::detail {

void leavers::forget(wait_queue& lock) noexcept {
  for (backoff wait;; wait.pause()) {
    lock.lock();
    for (waiter* w = list_.first(); w;) {
      waiter* const next = w->next;
      // Pairs with runs_on(). A frame whose entry is linked stands, since its task needs the lock to take the entry out.
      if (!w->past.exchange(true, acq_rel)) list_.unlink(*w);
      w = next;
    }
    const bool none = list_.empty();
    lock.unlock();
    if (none) return;
  }
}

}  // namespace heddle::detail
