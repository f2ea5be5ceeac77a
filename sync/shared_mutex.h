// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/sync/waiting/operation.h>
#include <heddle/sync/waiting/scoped.h>

#include <cstddef>
#include <cstdint>

namespace heddle {

/// Locked by one writer or by many readers. Both are tasks, on any loop. It never blocks a thread.
/// It is not recursive.
///
///     const auto guard = co_await m.scoped_lock_shared();
///
/// Cost      each call 1 locked operation. 0 allocations: the waiter stands in the caller's frame
/// Ordering  every unlock synchronizes-with the locks that follow it. Locks are granted strictly in
///           the order of asking. A reader that comes after a waiting writer waits behind it, so
///           neither side starves
/// Cancel    a cancelled lock() owns nothing. It leaves the queue, or passes on the lock that it
///           was handed. A reader behind a cancelled writer may go on at once
/// Throws    cancelled_error from a wait; usage_error from unlocking what is not locked. A
///           shared_mutex that is destroyed while tasks wait in it ends the process
/// Threads   the try_ calls and the unlocks may be called on any thread
class shared_mutex {
  template <class>
  friend struct detail::layout_of;
  /// What an operation waits for: a lock, shared or not.
  template <bool Shared>
  struct locking {
    static constexpr const char* name = Shared ? "shared_mutex (shared)" : "shared_mutex";
    shared_mutex* m;

    [[nodiscard]] detail::wait_queue& queue() noexcept { return m->waiters_; }
    [[nodiscard]] bool try_now() noexcept { return Shared ? m->try_lock_shared() : m->try_lock(); }
    [[nodiscard]] bool wait_in(detail::waiter& w, detail::task_record& t) noexcept {
      return m->wait_in(w, t, Shared);
    }
    void leave(detail::waiter& w) noexcept { m->leave(w); }
    void give_back() noexcept {
      if constexpr (Shared)
        m->unlock_shared();
      else
        m->unlock();
    }
    void result() noexcept {}
  };
  struct scoped_locking : locking<false> {
    auto result() noexcept { return guard(*m); }
  };
  struct scoped_locking_shared : locking<true> {
    auto result() noexcept { return shared_guard(*m); }
  };

 public:
  /// Unlocks at the end of its scope.
  using guard = detail::scoped<shared_mutex, detail::by_unlock>;
  using shared_guard = detail::scoped<shared_mutex, detail::by_unlock_shared>;

  shared_mutex() = default;
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;

  /// Waits until the task owns the lock alone: it may write.
  auto lock() noexcept { return detail::operation<locking<false>>(locking<false>{this}); }
  /// Waits until the task owns the lock beside other readers.
  auto lock_shared() noexcept { return detail::operation<locking<true>>(locking<true>{this}); }
  /// Locks, and yields a guard.
  auto scoped_lock() noexcept { return detail::operation<scoped_locking>(scoped_locking{{this}}); }
  /// Locks shared, and yields a shared_guard.
  auto scoped_lock_shared() noexcept {
    return detail::operation<scoped_locking_shared>(scoped_locking_shared{{this}});
  }
  /// Takes the lock if it is free and no task waits. Never waits.
  [[nodiscard]] bool try_lock() noexcept;
  [[nodiscard]] bool try_lock_shared() noexcept;
  /// Throws usage_error if no writer holds the lock.
  void unlock();
  /// Throws usage_error if no reader holds the lock.
  void unlock_shared();

 private:
  bool wait_in(detail::waiter& w, detail::task_record& t, bool shared) noexcept;
  void leave(detail::waiter& w) noexcept;
  [[nodiscard]] bool free_for(bool shared) const noexcept {
    return writer_ == no_writer && (shared || readers_ == 0);
  }
  // The lock is held in these two, and in free_for(). `owner`: owner_bits() of a writer.
  void take(bool shared, std::uint64_t owner) noexcept;
  void grant(detail::work_list& todo) noexcept;

  detail::wait_queue waiters_;  // its lock guards all members
  std::size_t readers_ = 0;
  // The task that writes (core/record/owner.h).
  static constexpr std::uint64_t no_writer = 1;
  std::uint64_t writer_ = no_writer;
};

}  // namespace heddle
