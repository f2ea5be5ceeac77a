// SPDX-License-Identifier: MIT
#include <heddle/sync/mutex.h>

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/errors.h>

namespace heddle {

using namespace detail;

std::uint32_t mutex::lock_queue(std::uint32_t guess) noexcept {
  noted(happening::locked);
  backoff wait;
  for (;;) {
    if (state_.compare_exchange_weak(guess, guess | busy, acquire, relaxed))
      return guess;  // pairs with unlock_queue()
    while (guess & busy) {
      wait.pause();
      guess = state_.load(relaxed);
    }
  }
}

bool mutex::try_lock_slow() noexcept {
  const auto was = lock_queue(free);  // free, and locked for a moment by one who left
  unlock_queue(was | held);
  return (was & held) == 0;
}

bool mutex::wait_in(waiter& w, task_record& t) noexcept {
  const auto was = lock_queue(held | contended);
  if (was == free) {
    unlock_queue(held);
    return false;
  }
  const bool waits = waiters_.suspend(w, t);
  // From here on `t` may run, but not leave: it is linked, and who takes it out comes by this word.
  unlock_queue(was | (waits ? contended : 0));
  return waits;
}

void mutex::leave(waiter& w) noexcept {
  const auto was = lock_queue(held | contended);
  if (w.linked) waiters_.unlink(w);
  unlock_queue(was);
}

void mutex::unlock_slow(std::uint32_t was) {
  if (was & busy) was = lock_queue(held | contended);  // another one's, who stores over what we did
  if ((was & held) == 0) {
    unlock_queue(was);
    throw_usage("unlock of a mutex that nobody holds");
  }
  waiter* next = waiters_.claim_first();
  if (!next) return unlock_queue(free);  // pairs with try_lock()
  next->given = true;
  task_record& t = *next->task;
  unlock_queue(waiters_.empty() ? held : held | contended);
  schedule(t);  // after the unlock: the mutex may live in the frame of the one who gets it
}

mutex::~mutex() {
  backoff wait;
  while (state_.load(acquire) & busy) wait.pause();  // pairs with unlock_queue()
  waiters_.assert_empty();
}

}  // namespace heddle
