// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/atomic.h>
#include <heddle/sync/operation.h>
#include <heddle/sync/scoped.h>

#include <cstdint>

namespace heddle {

/// Mutual exclusion between tasks, on any loop. Never blocks a thread; not recursive; any task may
/// unlock.
///
/// Cost      uncontended: 1 CAS each way, 0 allocations (the waiter lives in the caller's frame)
/// Ordering  unlock() synchronizes-with the lock() that takes over; handed over in the order of
///           asking, newcomers never overtake
/// Cancel    a cancelled lock() leaves the queue, or passes on what it was handed, and never owns
/// Throws    cancelled_error from a wait; usage_error from unlocking what is not locked
///
///     auto guard = co_await m.scoped_lock();
class mutex {
  struct locking {
    static constexpr const char* name = "mutex";
    mutex* m;

    [[nodiscard]] detail::wait_queue& queue() noexcept { return m->waiters_; }
    [[nodiscard]] bool try_now() noexcept { return m->try_lock(); }
    [[nodiscard]] bool wait_in(detail::waiter& w, detail::task_record& t) noexcept {
      return m->wait_in(w, t);
    }
    void give_back() noexcept { m->unlock(); }
    void result() noexcept {}
  };
  struct scoped_locking : locking {
    auto result() noexcept { return guard(*m); }
  };

 public:
  /// Unlocks at the end of its scope.
  using guard = detail::scoped<mutex, detail::by_unlock>;

  mutex() = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  auto lock() noexcept { return detail::operation<locking>(locking{this}); }
  /// Yields a guard.
  auto scoped_lock() noexcept { return detail::operation<scoped_locking>(scoped_locking{{this}}); }
  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t was = free;  // pairs with unlock()
    return state_.compare_exchange_strong(was, held, detail::acquire, detail::relaxed);
  }
  /// Hands over to the task that waits longest, if any. Throws usage_error if nobody holds it.
  void unlock() {
    std::uint32_t was = held;  // pairs with try_lock()
    if (!state_.compare_exchange_strong(was, free, detail::release, detail::relaxed)) [[unlikely]]
      unlock_slow();
  }
  [[nodiscard]] bool locked() const noexcept { return state_.load(detail::relaxed) != free; }

 private:
  // free -> held by a CAS. A task that waits sets `contended`, under the queue's lock, so that the
  // next unlock() takes that lock too. Handed over, it stays held: nobody overtakes. `contended`
  // with an empty queue only makes one unlock() slower.
  static constexpr std::uint32_t free = 0;
  static constexpr std::uint32_t held = 1;
  static constexpr std::uint32_t contended = 2;

  bool wait_in(detail::waiter& w, detail::task_record& t) noexcept;
  HEDDLE_NOINLINE void unlock_slow();

  detail::atomic<std::uint32_t> state_{free};
  detail::wait_queue waiters_;
};

}  // namespace heddle
