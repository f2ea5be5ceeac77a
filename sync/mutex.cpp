// SPDX-License-Identifier: MIT
#include <heddle/sync/mutex.h>

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/base/thread_state.h>
#include <heddle/core/errors.h>
#include <heddle/core/record/counted_await.h>
#include <heddle/core/record/owner.h>
#include <heddle/core/seeing/layout.h>

#include <array>
#include <typeinfo>

namespace heddle {

using namespace detail;

std::uint64_t mutex::lock_queue(std::uint64_t guess) noexcept {
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

namespace {

HEDDLE_COLD at_once after_a_look(thread_state& own) noexcept {
  return step_took_long(own, false) ? at_once::but_stands_back : at_once::yes;
}

}  // namespace

// Neither looks first. A load cannot start before an earlier locked operation is through, and cost
// the uncontended pair 8 ns of 28.

bool mutex::try_lock() noexcept {
  const auto owner = owner_bits(self_of_thread.current);
  auto was = free;
  // pairs with unlock_queue()
  if (state_.compare_exchange_strong(was, owner, acquire, relaxed)) return true;
  return was == (free | busy) && take_slow(owner);
}

// What is rare is a call at the end, so that the fast path has no stack to make.
at_once mutex::take_at_once() noexcept {
  auto& self = self_of_thread;
  const auto owner = owner_bits(self.current);
  auto was = free;
  // pairs with unlock_queue()
  if (!state_.compare_exchange_strong(was, owner, acquire, relaxed)) [[unlikely]]
    return take_at_once_slow(owner, was);
  if (++self.ready_awaits % awaits_a_look != 0) [[likely]]
    return at_once::yes;
  return after_a_look(self);
}

at_once mutex::take_at_once_slow(std::uint64_t owner, std::uint64_t was) noexcept {
  if (was != (free | busy) || !take_slow(owner)) return at_once::no;
  return counts_as_spent(self_of_thread) ? at_once::but_stands_back : at_once::yes;
}

bool mutex::take_slow(std::uint64_t owner) noexcept {
  // The mutex was free, but a call that is on its way out still had its queue locked.
  const auto was = lock_queue(free);
  const bool got = (was & free) != 0;
  unlock_queue(got ? owner : was);
  return got;
}

bool mutex::wait_in(waiter& w, task_record& t) noexcept {
  auto was = lock_queue(contended);
  if (((was ^ owner_bits(&t)) & ~marks) == 0) [[unlikely]] {
    unlock_queue(was);  // a report runs the user's code
    warn_of_own_lock(t, "mutex");
    was = lock_queue(contended);
  }
  if ((was & free) != 0) {
    unlock_queue(owner_bits(&t));
    return false;
  }
  const bool waits = waiters_.suspend(w, t);
  // A canceller may claim `t` from here on. But `w` is linked, and unlinking it takes the queue's
  // lock, which we hold. So `t` does not run on, and the mutex stands, until we unlock.
  unlock_queue(was | (waits ? contended : 0));
  return waits;
}

void mutex::leave(waiter& w) noexcept {
  const auto was = lock_queue(contended);
  if (w.linked) waiters_.unlink(w);
  unlock_queue(was);
}

void mutex::unlock_slow(std::uint64_t was) {
  // Another call has the queue locked. It will store over what our exchange wrote.
  if (was & busy) was = lock_queue(contended);
  if ((was & free) != 0) {
    unlock_queue(was);
    throw_usage("unlock of a mutex that nobody holds");
  }
  waiter* next = waiters_.claim_first();
  // pairs with try_lock() and take_at_once()
  if (!next) return unlock_queue(free);
  next->given = true;
  task_record& t = *next->task;
  unlock_queue(owner_bits(&t) | (waiters_.empty() ? 0 : contended));
  schedule(t);  // after the unlock: the mutex may live in the frame of the task that gets it
}

mutex::~mutex() {
  backoff wait;
  // pairs with unlock_queue()
  while (state_.load(acquire) & busy) wait.pause();
  waiters_.assert_empty();
}

}  // namespace heddle

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<mutex> {
  using waiting = operation<mutex::locking>;
  static constexpr seeing::root_row types[] = {
      {"=mutex", &typeid(operation<mutex::locking>)},
      {"=mutex", &typeid(operation<mutex::scoped_locking>)},
  };
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail9operationINS_5mutex*",
       .name = "mutex",
       .object = {offsetof(waiting, what_), sizeof(mutex)},
       .owner = {offsetof(mutex, state_), 8},
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds") constexpr auto mutex_kinds = std::to_array(layout_of<mutex>::kinds);
HEDDLE_ROW("heddle_roots") constexpr auto mutex_roots = std::to_array(layout_of<mutex>::types);
}  // namespace

}  // namespace heddle::detail
