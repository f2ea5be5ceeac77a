// SPDX-License-Identifier: MIT
#include <heddle/sync/shared_mutex.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/errors.h>
#include <heddle/core/record/owner.h>
#include <heddle/core/seeing/layout.h>

#include <array>

namespace heddle {

using namespace detail;

// waiter::wish says that a waiter wants a shared lock.
//
// The lock is granted to the first waiter in the queue, and then to those behind it that can hold
// the lock beside it. A newcomer takes the lock at once only when no task waits.

void shared_mutex::take(bool shared, std::uint64_t owner) noexcept {
  if (shared)
    ++readers_;
  else
    writer_ = owner;
}

// Not inlined, since it reads a thread-local: a coroutine may call it.
HEDDLE_NOINLINE bool shared_mutex::try_lock() noexcept {
  const auto owner = owner_bits(self_of_thread.current);
  waiters_.lock();
  const bool got = waiters_.empty() && free_for(false);
  if (got) take(false, owner);
  waiters_.unlock();
  return got;
}

bool shared_mutex::try_lock_shared() noexcept {
  waiters_.lock();
  const bool got = waiters_.empty() && free_for(true);
  if (got) take(true, 0);
  waiters_.unlock();
  return got;
}

bool shared_mutex::wait_in(waiter& w, task_record& t, bool shared) noexcept {
  w.wish = shared;
  waiters_.lock();
  if (writer_ == owner_bits(&t)) [[unlikely]] {
    waiters_.unlock();  // a report runs the user's code
    warn_of_own_lock(t, "shared_mutex");
    waiters_.lock();
  }
  bool waits = false;
  if (waiters_.empty() && free_for(shared))
    take(shared, owner_bits(&t));
  else
    waits = waiters_.suspend(w, t);
  waiters_.unlock();
  return waits;
}

void shared_mutex::grant(work_list& todo) noexcept {
  while (waiter* w = waiters_.first()) {
    if (!free_for(w->wish)) return;
    waiters_.unlink(*w);
    // A canceller may be faster. Then the canceller schedules the task, and nothing is granted.
    if (w->task->state().claim() != on_wake::schedule) continue;
    take(w->wish, owner_bits(w->task));
    w->given = true;
    todo.schedule(*w->task);
  }
}

void shared_mutex::unlock() {
  work_list todo;
  waiters_.lock();
  if (writer_ == no_writer) {
    waiters_.unlock();
    throw_usage("unlock of a shared_mutex that no writer holds");
  }
  writer_ = no_writer;
  grant(todo);
  waiters_.unlock();
  todo.settle();  // after the unlock: the mutex may live in the frame of the task that gets it
}

void shared_mutex::unlock_shared() {
  work_list todo;
  waiters_.lock();
  if (readers_ == 0) {
    waiters_.unlock();
    throw_usage("unlock_shared of a shared_mutex that no reader holds");
  }
  --readers_;
  grant(todo);
  waiters_.unlock();
  todo.settle();
}

void shared_mutex::leave(waiter& w) noexcept {
  work_list todo;
  waiters_.lock();
  if (w.linked) waiters_.unlink(w);
  grant(todo);  // readers that stood behind a cancelled writer may go on
  waiters_.unlock();
  todo.settle();
}

}  // namespace heddle

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<shared_mutex> {
  using shared = operation<shared_mutex::locking<true>>;
  using alone = operation<shared_mutex::locking<false>>;
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail9operationINS_12shared_mutex7lockingILb1E*",
       .name = "shared_mutex (shared)",
       .object = {offsetof(shared, what_), sizeof(shared_mutex)},
       .owner = {offsetof(shared_mutex, writer_), 8},
       .ended_by = seeing::kind_row::tasks},
      {.type = "N6heddle6detail9operationINS_12shared_mutex21scoped_locking_s*",
       .name = "shared_mutex (shared)",
       .object = {offsetof(shared, what_), sizeof(shared_mutex)},
       .owner = {offsetof(shared_mutex, writer_), 8},
       .ended_by = seeing::kind_row::tasks},
      {.type = "N6heddle6detail9operationINS_12shared_mutex*",
       .name = "shared_mutex",
       .object = {offsetof(alone, what_), sizeof(shared_mutex)},
       .owner = {offsetof(shared_mutex, writer_), 8},
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds")
constexpr auto shared_mutex_kinds = std::to_array(layout_of<shared_mutex>::kinds);
}  // namespace

}  // namespace heddle::detail
