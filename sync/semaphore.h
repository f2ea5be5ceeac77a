// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sync/waiting/leavers.h>
#include <heddle/sync/waiting/operation.h>
#include <heddle/sync/waiting/scoped.h>

#include <cstddef>
#include <cstdint>

namespace heddle {

/// A number of permits. `acquire` takes one or waits for one; `release` gives one back, from any
/// thread.
///
/// Cost      uncontended: 1 CAS each way, 0 allocations (the waiter lives in the caller's frame);
///           an acquire() that waited: 2 locked operations more when it runs on
/// Ordering  release() synchronizes-with the acquire() that gets the permit; permits go out in the
///           order of asking. A newcomer does not overtake a task that was given a permit and has
///           not run on yet, even if more permits are free
/// Cancel    a cancelled acquire() leaves the queue, or passes on the permit it was handed
/// Throws    cancelled_error from a wait; bad_value from a negative initial value. There can be
///           PTRDIFF_MAX permits
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
    void runs_on(detail::waiter& w, bool back) noexcept {
      if (detail::leavers::runs_on(w)) s->remove(w, back);  // else the semaphore is gone
    }
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
  /// Nobody may wait in it. Who was given a permit may still be on its way out of it.
  ~semaphore() {
    if (state_.load(detail::acquire) & waiting_bit)
      leaving_.forget(waiters_);  // pairs with pass_on()
  }

  auto acquire() noexcept { return detail::operation<acquiring>(acquiring{this}); }
  /// Yields a `permit`.
  auto scoped_acquire() noexcept {
    return detail::operation<scoped_acquiring>(scoped_acquiring{{this}});
  }
  /// Takes a permit if one is free and nobody waits, or was given one and has not run on yet.
  [[nodiscard]] bool try_acquire() noexcept {
    auto now = state_.load(detail::relaxed);
    while (is_free(now))  // pairs with release()
      if (state_.compare_exchange_weak(now, now - one, detail::acquire, detail::relaxed))
        return true;
    return false;
  }
  /// Gives back `count` permits, to those who wait longest first. May go above the initial value.
  /// Throws bad_value for a negative count, and beyond PTRDIFF_MAX permits.
  void release(std::ptrdiff_t count = 1) {
    auto now = state_.load(detail::relaxed);
    while (count == 1 && (now & waiting_bit) == 0 && now < bound_)  // pairs with try_acquire()
      if (state_.compare_exchange_weak(now, now + one, detail::release, detail::relaxed)) return;
    release_slow(count);
  }
  /// An acquire() would wait.
  [[nodiscard]] bool locked() const noexcept { return !is_free(state_.load(detail::relaxed)); }
  /// Free permits.
  [[nodiscard]] std::ptrdiff_t value() const noexcept {
    return static_cast<std::ptrdiff_t>(state_.load(detail::relaxed) >> 1);
  }

 protected:
  semaphore(std::ptrdiff_t permits, bool bounded);

 private:
  // Twice the free permits, plus 1 while tasks (may) wait, or leave. With the 1 only the holder of
  // the queue's lock changes the word. Permits are free beside the 1 only while somebody leaves:
  // the leaver passes them on when it runs on.
  static constexpr std::uint64_t waiting_bit = 1;
  static constexpr std::uint64_t one = 2;
  static constexpr std::uint64_t unbounded = static_cast<std::uint64_t>(PTRDIFF_MAX) * one;

  [[nodiscard]] static bool is_free(std::uint64_t now) noexcept {
    return now >= one && (now & waiting_bit) == 0;
  }
  bool wait_in(detail::waiter& w, detail::task_record& t) noexcept;
  HEDDLE_NOINLINE void release_slow(std::ptrdiff_t count);
  /// False: more than there can be; nothing was done.
  bool put_back(std::uint64_t count) noexcept;
  /// Hands out free permits. The lock is held, and the waiting bit stands.
  void pass_on(detail::work_list& todo) noexcept;
  HEDDLE_NOINLINE void remove(detail::waiter& w, bool back) noexcept;

  detail::atomic<std::uint64_t> state_;
  const std::uint64_t bound_;  // as state_: twice the permits there can be
  detail::wait_queue waiters_;
  detail::leavers leaving_;
};

/// A semaphore whose permits never exceed the initial value: a release too many throws bad_value,
/// since it is a bug.
class bounded_semaphore : public semaphore {
 public:
  explicit bounded_semaphore(std::ptrdiff_t permits = 1) : semaphore(permits, true) {}
};

}  // namespace heddle
