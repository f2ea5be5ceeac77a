// SPDX-License-Identifier: MIT
#include <heddle/sync/semaphore.h>

#include <heddle/core/errors.h>
#include <heddle/core/seeing/layout.h>

#include <array>
#include <string>
#include <typeinfo>

namespace heddle {

using namespace detail;

namespace {
std::uint64_t permits_of(std::ptrdiff_t permits) {
  if (permits < 0)
    throw_bad_value("a semaphore of " + std::to_string(permits) + " permits: it must be 0 or more");
  return static_cast<std::uint64_t>(permits);
}
}  // namespace

semaphore::semaphore(std::ptrdiff_t permits) : semaphore(permits, false) {}

semaphore::semaphore(std::ptrdiff_t permits, bool bounded)
    : state_(permits_of(permits) * one), bound_(bounded ? permits_of(permits) * one : unbounded) {}

bool semaphore::wait_in(waiter& w, task_record& t) noexcept {
  work_list todo;
  waiters_.lock();
  // Sets the waiting bit before the waiter is linked. From then on release() takes this lock too,
  // so it finds the waiter.
  auto now = state_.load(relaxed);
  for (;;) {
    const bool free = is_free(now);
    const auto next = free ? now - one : now | waiting_bit;
    // pairs with release() and try_acquire()
    if (!state_.compare_exchange_weak(now, next, acq_rel, relaxed)) continue;
    if (!free) break;
    waiters_.unlock();
    return false;
  }
  const bool waits = waiters_.suspend(w, t);
  if (!waits) pass_on(todo);  // a cancellation was due: lowers the waiting bit if it may
  waiters_.unlock();
  todo.settle();
  return waits;
}

void semaphore::release_slow(std::ptrdiff_t count) {
  if (count < 0) throw_bad_value("release of " + std::to_string(count) + " permits");
  if (!put_back(static_cast<std::uint64_t>(count)))
    throw_bad_value(
        "release of a semaphore beyond its bound: it was released more often than acquired");
}

bool semaphore::put_back(std::uint64_t count) noexcept {
  work_list todo;
  waiters_.lock();
  auto now = state_.load(relaxed);
  do {
    if (count * one > bound_ - (now & ~waiting_bit)) {
      waiters_.unlock();
      return false;
    }
    // If the waiting bit is not set, the fast paths change the word too: hence the loop.
    // pairs with try_acquire()
  } while (!state_.compare_exchange_weak(now, now + count * one, acq_rel, relaxed));
  if (now & waiting_bit) pass_on(todo);
  waiters_.unlock();
  // After the unlock: the semaphore may live in the frame of a task that got a permit.
  todo.settle();
  return true;
}

void semaphore::pass_on(work_list& todo) noexcept {
  auto permits = state_.load(relaxed) / one;
  for (; permits > 0; --permits) {
    waiter* next = waiters_.claim_first();
    if (!next) break;
    next->given = true;
    leaving_.add(*next);
    todo.schedule(*next->task);
  }
  const bool quiet = waiters_.empty() && leaving_.empty();
  // pairs with try_acquire(), release() and the destructor
  state_.store(permits * one + (quiet ? 0 : waiting_bit), detail::release);
}

void semaphore::remove(waiter& w, bool back) noexcept {
  work_list todo;
  waiters_.lock();
  leaving_.remove(w);
  const auto now = state_.load(relaxed);  // the waiting bit is set: only the lock's holder writes
  if (back && (now & ~waiting_bit) < bound_) state_.store(now + one, relaxed);
  pass_on(todo);
  waiters_.unlock();
  todo.settle();
}

}  // namespace heddle

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<semaphore> {
  using waiting = operation<semaphore::acquiring>;
  static constexpr seeing::root_row types[] = {
      {"=semaphore", &typeid(operation<semaphore::acquiring>)},
      {"=semaphore", &typeid(operation<semaphore::scoped_acquiring>)},
  };
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail9operationINS_9semaphore*",
       .name = "semaphore",
       .text = " %0h{ of %1h} free",
       .figures = {{offsetof(waiting, what_), offsetof(semaphore, state_), 8},
                   {offsetof(waiting, what_), offsetof(semaphore, bound_), 8}},
       .object = {offsetof(waiting, what_), sizeof(semaphore)},
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds")
constexpr auto semaphore_kinds = std::to_array(layout_of<semaphore>::kinds);
HEDDLE_ROW("heddle_roots")
constexpr auto semaphore_roots = std::to_array(layout_of<semaphore>::types);
}  // namespace

}  // namespace heddle::detail
