// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sync/waiting/operation.h>

#include <cstddef>

namespace heddle {

/// Counts down once, from its initial value to 0; then everybody who waits goes on, and it stays
/// open.
///
/// Cost      count_down(): 1 locked operation, the last one more; wait() on an open latch: a load;
///           0 allocations
/// Ordering  every count_down() synchronizes-with every wait() that it lets go; who waits longest
///           is scheduled first
/// Cancel    a cancelled wait() leaves the queue; the count is as it was
/// Throws    cancelled_error from a wait; bad_value for counts below 0 or beyond what is left
class latch {
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

  /// From any thread.
  void count_down(std::ptrdiff_t by = 1);
  auto wait() noexcept { return detail::operation<waiting>(waiting{this}); }
  auto arrive_and_wait(std::ptrdiff_t by = 1) {
    count_down(by);
    return wait();
  }
  /// It is open.
  [[nodiscard]] bool try_wait() const noexcept {
    return open_.load(detail::acquire);
  }  // pairs with open()

 private:
  bool wait_in(detail::waiter& w, detail::task_record& t) noexcept;
  void open() noexcept;

  // open_ and not a count of 0 is what waiters look at: it is raised under the lock, so who saw it
  // open and destroys the latch waits (in the queue's destructor) for the last count_down() to
  // leave.
  detail::atomic<std::ptrdiff_t> left_;
  detail::atomic<bool> open_;
  detail::wait_queue waiters_;
};

}  // namespace heddle
