// SPDX-License-Identifier: MIT
#include <heddle/sync/event.h>

namespace heddle {

using namespace detail;

bool event::wait_in(waiter& w, task_record& t) noexcept {
  waiters_.lock();
  // Looked at again under the lock, under which set() raises it: so either we see it, or set() sees
  // us.
  const bool waits = !is_set() && waiters_.suspend(w, t);
  waiters_.unlock();
  return waits;
}

void event::set() noexcept {
  work_list todo;
  waiters_.lock();
  set_.store(true, release);  // pairs with is_set()
  while (waiter* next = waiters_.claim_first()) {
    next->given = true;
    todo.schedule(*next->task);
  }
  waiters_.unlock();
  todo.settle();  // after the unlock: the event may live in the frame of one who goes on
}

}  // namespace heddle
