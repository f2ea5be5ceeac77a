// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sync/waiting/operation.h>

namespace heddle {

/// A flag that tasks wait for. `set` lets all tasks go that wait, and all that come until `clear`.
///
///     co_await e.wait();
///
/// Cost      wait() on a set event: a load. set() while no task waits: 1 locked operation. 0
///           allocations
/// Ordering  set() synchronizes-with every wait() that it lets go. The task that waits longest is
///           scheduled first
/// Cancel    a cancelled wait() leaves the queue; the event is as it was
/// Throws    cancelled_error from a wait. An event that is destroyed while tasks wait in it ends
///           the process
/// Threads   set(), clear() and is_set() may be called on any thread
class event {
  template <class>
  friend struct detail::layout_of;
  struct waiting {
    static constexpr const char* name = "event";
    event* e;

    [[nodiscard]] detail::wait_queue& queue() noexcept { return e->waiters_; }
    [[nodiscard]] bool try_now() noexcept { return e->is_set(); }
    [[nodiscard]] bool wait_in(detail::waiter& w, detail::task_record& t) noexcept {
      return e->wait_in(w, t);
    }
    void give_back() noexcept {}
    [[nodiscard]] bool result() noexcept { return true; }
  };

 public:
  event() = default;
  event(const event&) = delete;
  event& operator=(const event&) = delete;

  /// Waits until the event is set. Yields true.
  auto wait() noexcept { return detail::operation<waiting>(waiting{this}); }
  /// Raises the flag. A clear() that follows at once does not stop the tasks that waited.
  void set() noexcept;
  /// Lowers the flag.
  void clear() noexcept {
    // pairs with is_set()
    set_.store(false, detail::release);
  }
  [[nodiscard]] bool is_set() const noexcept {
    // pairs with set() and clear()
    return set_.load(detail::acquire);
  }

 private:
  bool wait_in(detail::waiter& w, detail::task_record& t) noexcept;

  detail::atomic<bool> set_{false};
  detail::wait_queue waiters_;
};

}  // namespace heddle
