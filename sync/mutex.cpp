// SPDX-License-Identifier: MIT
#include <heddle/sync/mutex.h>

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/errors.h>
#include <heddle/core/seeing/layout.h>

#include <array>
#include <typeinfo>

namespace heddle {

using namespace detail;

std::uint32_t mutex::lock_queue(std::uint32_t guess) noexcept {
  noted(happening::locked);
  backoff wait;
  for (;;) {
    // pairs with unlock_queue()
    if (state_.compare_exchange_weak(guess, guess | busy, acquire, relaxed)) return guess;
    while (guess & busy) {
      wait.pause();
      guess = state_.load(relaxed);
    }
  }
}

bool mutex::try_lock_slow() noexcept {
  // The mutex was free, but a call that is on its way out still had its queue locked.
  const auto was = lock_queue(free);
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
  // A canceller may claim `t` from here on. But `w` is linked, and unlinking it takes the queue's
  // lock, which we hold. So `t` does not run on, and the mutex stands, until we unlock.
  unlock_queue(was | (waits ? contended : 0));
  return waits;
}

void mutex::leave(waiter& w) noexcept {
  const auto was = lock_queue(held | contended);
  if (w.linked) waiters_.unlink(w);
  unlock_queue(was);
}

void mutex::unlock_slow(std::uint32_t was) {
  // Another call has the queue locked. It will store over what our exchange wrote.
  if (was & busy) was = lock_queue(held | contended);
  if ((was & held) == 0) {
    unlock_queue(was);
    throw_usage("unlock of a mutex that nobody holds");
  }
  waiter* next = waiters_.claim_first();
  // pairs with try_lock()
  if (!next) return unlock_queue(free);
  next->given = true;
  task_record& t = *next->task;
  unlock_queue(waiters_.empty() ? held : held | contended);
  schedule(t);  // after the unlock: the mutex may live in the frame of the task that gets it
}

mutex::~mutex() {
  backoff wait;
  // pairs with unlock_queue()
  while (state_.load(acquire) & busy) wait.pause();
  waiters_.assert_empty();
}

}  // namespace heddle

namespace heddle::detail {

template <>
struct layout_of<mutex> {
  static constexpr seeing::root_row types[] = {
      {"=mutex", &typeid(operation<mutex::locking>)},
      {"=mutex", &typeid(operation<mutex::scoped_locking>)},
  };
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail9operationINS_5mutex*", .name = "mutex"},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds") constexpr auto kind_rows = std::to_array(layout_of<mutex>::kinds);
HEDDLE_ROW("heddle_roots") constexpr auto type_rows = std::to_array(layout_of<mutex>::types);
}  // namespace

}  // namespace heddle::detail
