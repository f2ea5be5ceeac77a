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

/// Waiting, with a lock held, for what others change under that lock.
///
/// Cost      wait(): a frame from the cache, and the mutex's costs; notify with nobody waiting: 1
///           locked operation
/// Ordering  by the mutex. notify() wakes who waits longest; who comes after a notify is not woken
///           by it
/// Cancel    wait() takes the lock again before it throws; one that was notified and is then
///           cancelled notifies the next in its place
/// Throws    cancelled_error, the latest one if several came; usage_error when the lock is not held
///
///     auto guard = co_await c.scoped_lock();
///     co_await c.wait_for([&] { return ready; });
class condition {
 public:
  /// With a mutex of its own.
  condition() : own_(new mutex), mutex_(own_.get()) {}
  /// With the caller's, which must outlive it. Several conditions may share one.
  explicit condition(mutex& m) noexcept : mutex_(&m) {}
  condition(const condition&) = delete;
  condition& operator=(const condition&) = delete;

  auto lock() noexcept { return mutex_->lock(); }
  auto scoped_lock() noexcept { return mutex_->scoped_lock(); }
  [[nodiscard]] bool try_lock() noexcept { return mutex_->try_lock(); }
  void unlock() { mutex_->unlock(); }
  [[nodiscard]] bool locked() const noexcept { return mutex_->locked(); }

  /// Unlocks, waits to be notified, locks again. Yields true.
  task<bool> wait();
  /// Waits until `pred()` is true and yields what it returned. True at once: does not wait, and
  /// needs no lock. What it throws leaves with the lock held.
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

  /// Wakes `count` of those who wait now. Throws usage_error unless the lock is held, bad_value for
  /// a negative count.
  void notify(std::ptrdiff_t count = 1);
  void notify_all();

 private:
  class waiting;
  void wake(std::size_t count) noexcept;
  void check_locked(const char* what) const;

  detail::owned<mutex> own_;
  mutex* mutex_;
  detail::wait_queue waiters_;
};

}  // namespace heddle
