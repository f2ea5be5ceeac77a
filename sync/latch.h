// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sync/waiting/operation.h>

#include <cstddef>

namespace heddle {

/// Counts down once, from its initial value to 0. Then it is open: all tasks that wait go on, and
/// later ones do not wait.
///
///     co_await l.wait();
///
/// Cost      count_down(): 1 locked operation, and the last one 1 more. wait() on an open latch: a
///           load. 0 allocations
/// Ordering  every count_down() synchronizes-with every wait() that it lets go. The task that
///           waits longest is scheduled first
/// Cancel    a cancelled wait() leaves the queue; the count is as it was
/// Throws    cancelled_error from a wait; bad_value for counts below 0 or beyond what is left. A
///           latch that is destroyed while tasks wait in it ends the process
/// Threads   count_down() and try_wait() may be called on any thread
class latch {
  template <class>
  friend struct detail::layout_of;
  struct waiting {
    static constexpr const char* name = "latch";
    latch* l;

    [[nodiscard]] detail::wait_queue& queue() noexcept { return l->waiters_; }
    [[nodiscard]] bool try_now() noexcept { return l->try_wait(); }
    [[nodiscard]] bool wait_in(detail::waiter& w, detail::task_record& t) noexcept {
      return l->wait_in(w, t);
    }
    void give_back() noexcept {}
    void result() noexcept {}
  };

 public:
  explicit latch(std::ptrdiff_t count);
  latch(const latch&) = delete;
  latch& operator=(const latch&) = delete;

  /// Lowers the count by `by`. The call that reaches 0 opens the latch.
  void count_down(std::ptrdiff_t by = 1);
  /// Waits until the latch is open.
  auto wait() noexcept { return detail::operation<waiting>(waiting{this}); }
  /// Counts down at the call, and waits when it is awaited.
  auto arrive_and_wait(std::ptrdiff_t by = 1) {
    count_down(by);
    return wait();
  }
  /// The latch is open: a wait() would not wait.
  [[nodiscard]] bool try_wait() const noexcept {
    // pairs with open()
    return open_.load(detail::acquire);
  }

 private:
  bool wait_in(detail::waiter& w, detail::task_record& t) noexcept;
  void open() noexcept;

  // A task that finds the latch open may destroy it, while the last count_down() is still inside.
  // So waiters look at open_ and not for a count of 0. open_ is raised under the queue's lock, and
  // the queue's destructor takes that lock. So the destructor waits until count_down() has left.
  detail::atomic<std::ptrdiff_t> left_;
  detail::atomic<bool> open_;
  detail::wait_queue waiters_;
};

}  // namespace heddle
