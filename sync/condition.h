// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/record/wait.h>
#include <heddle/sync/mutex.h>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace heddle {

/// Waits, with a mutex held, until another task has changed what the mutex guards.
///
///     const auto guard = co_await c.scoped_lock();
///     co_await c.wait_for([&ready] { return ready; });
///
/// Cost      wait(): a frame from the cache, and the mutex's costs. notify() while no task waits: 1
///           locked operation
/// Ordering  by the mutex. notify() wakes the task that waits longest. A task that waits after the
///           notify() is not woken by it
/// Cancel    wait() takes the mutex again before it throws. A task that was notified and is then
///           cancelled notifies the next one in its place
/// Throws    cancelled_error, the latest if several came; usage_error when the mutex is not held. A
///           condition that is destroyed while tasks wait in it ends the process
/// Danger    the mutex is only known to be held, not by which task. A call without the lock, while
///           another task holds it, is not noticed
class condition {
 public:
  /// With a mutex of its own.
  condition() : own_(new mutex), mutex_(own_.get()) {}
  /// With the caller's mutex, which must outlive the condition. Several conditions may share one.
  explicit condition(mutex& m) noexcept : mutex_(&m) {}
  condition(const condition&) = delete;
  condition& operator=(const condition&) = delete;

  // The mutex's own calls, see mutex.h.
  auto lock() noexcept { return mutex_->lock(); }
  auto scoped_lock() noexcept { return mutex_->scoped_lock(); }
  [[nodiscard]] bool try_lock() noexcept { return mutex_->try_lock(); }
  void unlock() { mutex_->unlock(); }
  [[nodiscard]] bool locked() const noexcept { return mutex_->locked(); }

  /// Unlocks the mutex, waits to be notified, and locks it again. Yields true.
  task<bool> wait();
  /// Waits until `pred()` is true, and yields the value that it returned. If it is true at once,
  /// the call does not wait and needs no lock. If it throws, the exception leaves with the mutex
  /// held.
  template <class Pred>
    requires std::predicate<Pred&>
  task<std::remove_cvref_t<std::invoke_result_t<Pred&>>> wait_for(Pred pred) {
    for (;;) {
      auto result = detail::invoke(pred);
      if (static_cast<bool>(result)) co_return result;
      auto notified = wait();
      co_await std::move(notified);
    }
  }

  /// Wakes up to `count` of the tasks that wait now. Throws usage_error when the mutex is not held,
  /// and bad_value for a negative count.
  void notify(std::ptrdiff_t count = 1);
  /// Wakes all tasks that wait now. Throws usage_error when the mutex is not held.
  void notify_all();

 private:
  class waiting;
  void wake(std::size_t count) noexcept;
  /// Throws usage_error when no task holds the mutex. `what` names the call.
  void check_locked(const char* what) const;

  detail::owned<mutex> own_;  // empty when the mutex is the caller's
  mutex* mutex_;
  detail::wait_queue waiters_;
};

}  // namespace heddle
