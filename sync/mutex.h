// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sync/waiting/operation.h>
#include <heddle/sync/waiting/scoped.h>

#include <cstdint>

namespace heddle {

/// Mutual exclusion between tasks, on any loop. It never blocks a thread. It is not recursive. Any
/// task may unlock it.
///
///     const auto guard = co_await m.scoped_lock();
///
/// Cost      uncontended: 1 locked operation each way. 0 allocations: the waiter stands in the
///           caller's frame
/// Ordering  unlock() synchronizes-with the lock() that takes over. The lock is handed over in the
///           order of asking; newcomers never overtake
/// Cancel    a cancelled lock() never owns the mutex. It leaves the queue, or passes on the lock
///           that it was handed
/// Throws    cancelled_error from a wait; usage_error from unlocking a mutex that is not locked. A
///           mutex that is destroyed while tasks wait in it ends the process
/// Threads   try_lock(), unlock() and locked() may be called on any thread
class mutex {
  template <class>
  friend struct detail::layout_of;
  struct locking {
    static constexpr const char* name = "mutex";
    mutex* m;

    [[nodiscard]] bool try_now() noexcept { return m->try_lock(); }
    [[nodiscard]] detail::at_once take_at_once() noexcept { return m->take_at_once(); }
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
  /// No task may wait in it. A task that unlocked it or left its queue may still be inside that
  /// call: the destructor waits for it.
  ~mutex();

  /// Waits until the task owns the mutex.
  auto lock() noexcept { return detail::operation<locking>(locking{this}); }
  /// Locks, and yields a guard.
  auto scoped_lock() noexcept { return detail::operation<scoped_locking>(scoped_locking{{this}}); }
  /// Takes the lock if it is free. Never waits.
  [[nodiscard]] HEDDLE_NOINLINE bool try_lock() noexcept;
  /// Hands the lock over to the task that waits longest, if any. Throws usage_error if the mutex is
  /// not locked.
  void unlock() {
    // pairs with unlock_queue()
    const auto was = state_.exchange(busy, detail::acquire);
    if ((was & marks) == 0) [[likely]]
      unlock_queue(free);
    else
      unlock_slow(was);
  }
  /// Some task holds it. Right at the moment of the call only.
  [[nodiscard]] bool locked() const noexcept { return (state_.load(detail::relaxed) & free) == 0; }

 private:
  // One word is both the mutex and the lock of its queue. So a wait costs one locked operation
  // here and one on the task's own word. So does a hand-over.
  //
  //   free               no task holds the mutex or waits. free -> OWNER is one compare-exchange
  //   OWNER              a task holds it: owner_bits() (core/record/owner.h), which are 0 if it was
  //                      locked outside of tasks. A hand-over leaves it held, so no newcomer
  //                      overtakes
  //   OWNER | contended  tasks wait. Without a waiter, `contended` only makes one unlock() slower
  //   ... | busy         a call has the queue locked. Inside an unlock() the owner is gone already
  //
  // The call that sets `busy` learns in the same step which bits stood there. Its unlock_queue()
  // stores the bits that stand there next. That store is its last touch of the mutex. Meanwhile no
  // other call changes the other bits, with one exception: an unlock() may drop `contended`. That
  // does no harm, since the store that follows is made under the lock and writes the right bit.
  //
  // unlock() sets `busy` before it knows whether a task waits. If none does, the exchange and the
  // store are the whole unlock. If one does, the queue is locked already.
  //
  // `free` is a bit, and not the absence of one: so the word of a mutex that is just held is the
  // owner itself, and neither lock() nor unlock() has to put a bit in or take it out.
  static constexpr std::uint64_t free = 1;
  static constexpr std::uint64_t contended = 2;
  static constexpr std::uint64_t busy = 4;
  static constexpr std::uint64_t marks = free | contended | busy;

  /// try_lock(), and the count of the budget in the same call. See at_once.
  [[nodiscard]] HEDDLE_NOINLINE detail::at_once take_at_once() noexcept;
  bool wait_in(detail::waiter& w, detail::task_record& t) noexcept;
  void leave(detail::waiter& w) noexcept;
  HEDDLE_NOINLINE void unlock_slow(std::uint64_t was);
  HEDDLE_NOINLINE detail::at_once take_at_once_slow(std::uint64_t owner,
                                                    std::uint64_t was) noexcept;
  HEDDLE_COLD bool take_slow(std::uint64_t owner) noexcept;
  /// Sets `busy`, and returns the bits that stood there. `guess`: the bits that most likely do.
  std::uint64_t lock_queue(std::uint64_t guess) noexcept;
  void unlock_queue(std::uint64_t next) noexcept {
    // pairs with try_lock(), take_at_once(), unlock(), lock_queue() and the destructor
    state_.store(next, detail::release);
  }

  detail::atomic<std::uint64_t> state_{free};
  detail::wait_list waiters_;
};

}  // namespace heddle
