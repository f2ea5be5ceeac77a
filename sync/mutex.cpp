// SPDX-License-Identifier: MIT
#include <heddle/sync/mutex.h>

#include <heddle/core/errors.h>

namespace heddle {

using namespace detail;

bool mutex::wait_in(waiter& w, task_record& t) noexcept {
  waiters_.lock();
  // Announces the waiter before it is linked: from here on unlock() comes by this lock. If it was
  // free meanwhile, it is ours.
  if (state_.exchange(contended, acquire) == free) {
    waiters_.unlock();
    return false;
  }
  const bool waits = waiters_.suspend(w, t);
  waiters_.unlock();
  return waits;
}

void mutex::unlock_slow() {
  waiters_.lock();
  if (state_.load(relaxed) == free) {
    waiters_.unlock();
    throw_usage("unlock of a mutex that nobody holds");
  }
  waiter* next = waiters_.claim_first();
  task_record* t = nullptr;
  if (next) {
    next->given = true;
    t = next->task;
    if (waiters_.empty()) state_.store(held, relaxed);
  } else {
    state_.store(free, release);  // pairs with try_lock()
  }
  waiters_.unlock();
  if (t) schedule(*t);  // after the unlock: the mutex may live in the frame of the one who gets it
}

}  // namespace heddle
