// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sync/waiting/operation.h>
#include <heddle/sync/waiting/scoped.h>

#include <cstdint>

namespace heddle {

/// Mutual exclusion between tasks, on any loop. Never blocks a thread; not recursive; any task may
/// unlock.
///
/// Cost      uncontended: 1 locked operation each way, 0 allocations (the waiter lives in the
///           caller's frame)
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

    [[nodiscard]] bool try_now() noexcept { return m->try_lock(); }
    [[nodiscard]] bool wait_in(detail::waiter& w, detail::task_record& t) noexcept {
      return m->wait_in(w, t);
    }
    void leave(detail::waiter& w) noexcept { m->leave(w); }
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
  /// Nobody may wait in it. Who let us go on, or left it, may still be on his way out of it.
  ~mutex();

  auto lock() noexcept { return detail::operation<locking>(locking{this}); }
  /// Yields a guard.
  auto scoped_lock() noexcept { return detail::operation<scoped_locking>(scoped_locking{{this}}); }
  [[nodiscard]] bool try_lock() noexcept {
    auto was = free;  // not looked at first: a load between two locked operations costs half of one
    if (state_.compare_exchange_strong(was, held, detail::acquire, detail::relaxed))
      return true;  // pairs with unlock()
    return was == busy && try_lock_slow();
  }
  /// Hands over to the task that waits longest, if any. Throws usage_error if nobody holds it.
  void unlock() {
    const auto was = state_.exchange(held | busy, detail::acquire);  // pairs with unlock_queue()
    if (was == held) [[likely]]
      unlock_queue(free);
    else
      unlock_slow(was);
  }
  [[nodiscard]] bool locked() const noexcept { return (state_.load(detail::relaxed) & held) != 0; }

 private:
  // One word is the mutex and the lock of its queue. So a wait costs one locked operation here and
  // one on the task's own word, and so does a hand-over.
  //
  //   free -> held       a compare-exchange: nobody holds it or waits
  //   held | contended   somebody waits
  //   ... | busy the queue is locked. Who set `busy`, in one step with learning what stood there,
  //                      stores what shall stand there next, and that is the last he touches of the
  //                      mutex. Nobody else changes the other bits meanwhile, but for an unlock(),
  //                      which may drop `contended`: the one who stores knows better
  //   unlock sets `busy` before it knows whether anybody waits. If nobody does it is the
  //                      whole unlock together with the store; else the queue is locked already
  //
  // Handed over, it stays held: nobody overtakes. `contended` without a waiter only makes one
  // unlock() slower.
  static constexpr std::uint32_t free = 0;
  static constexpr std::uint32_t held = 1;
  static constexpr std::uint32_t contended = 2;
  static constexpr std::uint32_t busy = 4;

  bool wait_in(detail::waiter& w, detail::task_record& t) noexcept;
  void leave(detail::waiter& w) noexcept;
  HEDDLE_NOINLINE void unlock_slow(std::uint32_t was);
  HEDDLE_COLD bool try_lock_slow() noexcept;
  /// Returns what stood there; `guess`: what it most likely is.
  std::uint32_t lock_queue(std::uint32_t guess) noexcept;
  void unlock_queue(std::uint32_t next) noexcept { state_.store(next, detail::release); }

  detail::atomic<std::uint32_t> state_{free};
  detail::wait_list waiters_;
};

}  // namespace heddle
