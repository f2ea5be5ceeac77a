// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/atomic.h>
#include <heddle/sync/operation.h>
#include <heddle/sync/scoped.h>

#include <cstddef>
#include <cstdint>

namespace heddle {

/// A number of permits. `acquire` takes one or waits for one; `release` gives one back, from any
/// thread.
///
/// Cost      uncontended: 1 CAS each way, 0 allocations (the waiter lives in the caller's frame)
/// Ordering  release() synchronizes-with the acquire() that gets the permit; permits go out in the
///           order of asking, no overtaking
/// Cancel    a cancelled acquire() leaves the queue, or passes on the permit it was handed
/// Throws    cancelled_error from a wait; bad_value from a negative initial value
///
///     auto permit = co_await s.scoped_acquire();
class semaphore {
  struct acquiring {
    static constexpr const char* name = "semaphore";
    semaphore* s;

    [[nodiscard]] detail::wait_queue& queue() noexcept { return s->waiters_; }
    [[nodiscard]] bool try_now() noexcept { return s->try_acquire(); }
    [[nodiscard]] bool wait_in(detail::waiter& w, detail::task_record& t) noexcept {
      return s->wait_in(w, t);
    }
    void give_back() noexcept { (void)s->put_back(1); }
    void result() noexcept {}
  };
  struct scoped_acquiring : acquiring {
    auto result() noexcept { return permit(*s); }
  };

 public:
  /// Releases one permit at the end of its scope.
  using permit = detail::scoped<semaphore, detail::by_release>;

  explicit semaphore(std::ptrdiff_t permits = 1);
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  auto acquire() noexcept { return detail::operation<acquiring>(acquiring{this}); }
  /// Yields a `permit`.
  auto scoped_acquire() noexcept {
    return detail::operation<scoped_acquiring>(scoped_acquiring{{this}});
  }
  /// Takes a permit if one is free and nobody waits.
  [[nodiscard]] bool try_acquire() noexcept {
    auto now = state_.load(detail::relaxed);
    while (now >= one)  // pairs with release()
      if (state_.compare_exchange_weak(now, now - one, detail::acquire, detail::relaxed))
        return true;
    return false;
  }
  /// Gives back `count` permits, to those who wait longest first. May go above the initial value.
  /// Throws bad_value for a negative count.
  void release(std::ptrdiff_t count = 1) {
    auto now = state_.load(detail::relaxed);
    while (count == 1 && (now & waiting_bit) == 0 && now < bound_)  // pairs with try_acquire()
      if (state_.compare_exchange_weak(now, now + one, detail::release, detail::relaxed)) return;
    release_slow(count);
  }
  /// An acquire() would wait.
  [[nodiscard]] bool locked() const noexcept { return value() == 0; }
  /// Free permits.
  [[nodiscard]] std::ptrdiff_t value() const noexcept {
    return static_cast<std::ptrdiff_t>(state_.load(detail::relaxed) >> 1);
  }

 protected:
  semaphore(std::ptrdiff_t permits, bool bounded);

 private:
  // Twice the free permits, plus 1 when tasks (may) wait; with the 1 no permit is free, since a
  // release then hands over directly, under the queue's lock, and clears it together with adding
  // what nobody wanted.
  static constexpr std::uint64_t waiting_bit = 1;
  static constexpr std::uint64_t one = 2;
  static constexpr std::uint64_t unbounded = UINT64_MAX / 4 * 2;

  bool wait_in(detail::waiter& w, detail::task_record& t) noexcept;
  HEDDLE_NOINLINE void release_slow(std::ptrdiff_t count);
  /// False: more than there can be; nothing was done.
  bool put_back(std::uint64_t count) noexcept;

  detail::atomic<std::uint64_t> state_;
  const std::uint64_t bound_;  // as state_: twice the permits there can be
  detail::wait_queue waiters_;
};

/// A semaphore whose permits never exceed the initial value: a release too many throws bad_value,
/// since it is a bug.
class bounded_semaphore : public semaphore {
 public:
  explicit bounded_semaphore(std::ptrdiff_t permits = 1) : semaphore(permits, true) {}
};

}  // namespace heddle
