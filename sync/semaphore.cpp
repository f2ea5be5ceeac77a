// SPDX-License-Identifier: MIT
#include <heddle/sync/semaphore.h>

#include <heddle/core/errors.h>

#include <string>

namespace heddle {

using namespace detail;

namespace {
std::uint64_t checked(std::ptrdiff_t permits) {
  if (permits < 0)
    throw bad_value("a semaphore of " + std::to_string(permits) + " permits: it must be 0 or more");
  return static_cast<std::uint64_t>(permits);
}
}  // namespace

semaphore::semaphore(std::ptrdiff_t permits) : semaphore(permits, false) {}

semaphore::semaphore(std::ptrdiff_t permits, bool bounded)
    : state_(checked(permits) * one), bound_(bounded ? checked(permits) * one : unbounded) {}

bool semaphore::wait_in(waiter& w, task_record& t) noexcept {
  waiters_.lock();
  // Announces the waiter before it is linked: from here on release() comes by this lock. Permits
  // that are free now are free because nobody waits, so one is ours.
  auto now = state_.load(relaxed);
  for (;;) {
    const bool free = now >= one;
    const auto next = free ? now - one : now | waiting_bit;
    if (!state_.compare_exchange_weak(now, next, acq_rel, relaxed))
      continue;  // pairs with release() and try_acquire()
    if (!free) break;
    waiters_.unlock();
    return false;
  }
  const bool waits = waiters_.suspend(w, t);
  waiters_.unlock();
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
  const auto too_many = [&] { return (now & ~waiting_bit) + count * one > bound_; };
  if (too_many()) {
    waiters_.unlock();
    return false;
  }
  for (; count > 0; --count) {
    waiter* next = waiters_.claim_first();
    if (!next) break;
    next->given = true;
    todo.schedule(*next->task);
  }
  // While the bit is clear the fast paths run beside us; then nobody was given anything above.
  if (waiters_.empty())
    while (!state_.compare_exchange_weak(now, (now & ~waiting_bit) + count * one, acq_rel, relaxed))
      if (too_many()) {
        waiters_.unlock();
        return false;
      }
  waiters_.unlock();
  todo.settle();  // after the unlock: the semaphore may live in the frame of one who got a permit
  return true;
}

}  // namespace heddle
