// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sync/waiting/operation.h>

namespace heddle {

/// A flag that tasks wait for. `set` lets everybody go who waits, and all who come until `clear`.
///
/// Cost      wait() on a set event: a load. set() with nobody waiting: 1 locked operation; 0
///           allocations
/// Ordering  set() synchronizes-with every wait() it lets go; who waits longest is scheduled first
/// Cancel    a cancelled wait() leaves the queue; the event is as it was
/// Throws    cancelled_error from a wait
class event {
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

  /// Yields true.
  auto wait() noexcept { return detail::operation<waiting>(waiting{this}); }
  /// From any thread.
  void set() noexcept;
  void clear() noexcept { set_.store(false, detail::release); }
  [[nodiscard]] bool is_set() const noexcept {
    return set_.load(detail::acquire);
  }  // pairs with set()

 private:
  bool wait_in(detail::waiter& w, detail::task_record& t) noexcept;

  detail::atomic<bool> set_{false};
  detail::wait_queue waiters_;
};

}  // namespace heddle
