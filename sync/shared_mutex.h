// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/sync/waiting/operation.h>
#include <heddle/sync/waiting/scoped.h>

#include <cstddef>

namespace heddle {

/// One writer or many readers, tasks on any loop. Never blocks a thread; not recursive.
///
/// Cost      each call 1 locked operation; 0 allocations (the waiter lives in the caller's frame)
/// Ordering  every unlock synchronizes-with the locks that follow it. Strictly in the order of
///           asking: a reader that comes after a waiting writer waits behind it, so neither side
///           starves
/// Cancel    a cancelled lock leaves the queue (a reader behind a cancelled writer may go on at
///           once), or passes on what it was handed
/// Throws    cancelled_error from a wait; usage_error from unlocking what is not locked
class shared_mutex {
  /// A waiter with its wish.
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
  using guard = detail::scoped<shared_mutex, detail::by_unlock>;
  using shared_guard = detail::scoped<shared_mutex, detail::by_unlock_shared>;

  shared_mutex() = default;
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;

  auto lock() noexcept { return detail::operation<locking<false>>(locking<false>{this}); }
  auto lock_shared() noexcept { return detail::operation<locking<true>>(locking<true>{this}); }
  /// Yields a guard.
  auto scoped_lock() noexcept { return detail::operation<scoped_locking>(scoped_locking{{this}}); }
  /// Yields a shared_guard.
  auto scoped_lock_shared() noexcept {
    return detail::operation<scoped_locking_shared>(scoped_locking_shared{{this}});
  }
  [[nodiscard]] bool try_lock() noexcept;
  [[nodiscard]] bool try_lock_shared() noexcept;
  void unlock();
  void unlock_shared();

 private:
  bool wait_in(detail::waiter& w, detail::task_record& t, bool shared) noexcept;
  void leave(detail::waiter& w) noexcept;
  [[nodiscard]] bool free_for(bool shared) const noexcept {
    return shared ? !written_ : !written_ && readers_ == 0;
  }
  void take(bool shared) noexcept;
  void grant(detail::work_list& todo) noexcept;

  detail::wait_queue waiters_;  // its lock guards all of it
  std::size_t readers_ = 0;
  bool written_ = false;
};

}  // namespace heddle
