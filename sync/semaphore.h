// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sync/waiting/leavers.h>
#include <heddle/sync/waiting/operation.h>
#include <heddle/sync/waiting/scoped.h>

#include <cstddef>
#include <cstdint>

namespace heddle {

/// A number of permits. `acquire` takes one, and waits while there is none. `release` gives one
/// back.
///
///     const auto permit = co_await s.scoped_acquire();
///
/// Cost      uncontended: 1 compare-exchange each way. 0 allocations: the waiter stands in the
///           caller's frame. An acquire() that waited: 2 locked operations more when it runs on
/// Ordering  release() synchronizes-with the acquire() that gets the permit. Permits go out in the
///           order of asking. A newcomer does not overtake a task that was given a permit and has
///           not run on yet, even if more permits are free
/// Cancel    a cancelled acquire() holds no permit. It leaves the queue, or passes on the permit
///           that it was handed
/// Throws    cancelled_error from a wait; bad_value from a negative initial value. There can be
///           PTRDIFF_MAX permits. A semaphore that is destroyed while tasks wait in it ends the
///           process
/// Threads   try_acquire(), release(), locked() and value() may be called on any thread
class semaphore {
  template <class>
  friend struct detail::layout_of;
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
      if (detail::leavers::runs_on(w)) s->remove(w, back);  // otherwise the semaphore is gone
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
  /// No task may wait in it. A task that was given a permit need not have run on yet.
  ~semaphore() {
    // pairs with pass_on()
    if (state_.load(detail::acquire) & waiting_bit) leaving_.forget(waiters_);
  }

  /// Waits until the task has a permit.
  auto acquire() noexcept { return detail::operation<acquiring>(acquiring{this}); }
  /// Acquires, and yields a `permit`.
  auto scoped_acquire() noexcept {
    return detail::operation<scoped_acquiring>(scoped_acquiring{{this}});
  }
  /// Takes a permit and never waits. False: no permit is free, or a task waits, or a task that was
  /// given a permit has not run on yet.
  [[nodiscard]] bool try_acquire() noexcept {
    auto now = state_.load(detail::relaxed);
    while (is_free(now))
      // pairs with release()
      if (state_.compare_exchange_weak(now, now - one, detail::acquire, detail::relaxed))
        return true;
    return false;
  }
  /// Gives back `count` permits. The tasks that wait longest get them first. The number of permits
  /// may go above the initial value. Throws bad_value for a negative count, and beyond PTRDIFF_MAX
  /// permits.
  void release(std::ptrdiff_t count = 1) {
    auto now = state_.load(detail::relaxed);
    while (count == 1 && (now & waiting_bit) == 0 && now < bound_)
      // pairs with try_acquire()
      if (state_.compare_exchange_weak(now, now + one, detail::release, detail::relaxed)) return;
    release_slow(count);
  }
  /// An acquire() would wait. Right at the moment of the call only.
  [[nodiscard]] bool locked() const noexcept { return !is_free(state_.load(detail::relaxed)); }
  /// The number of free permits. Right at the moment of the call only.
  [[nodiscard]] std::ptrdiff_t value() const noexcept {
    return static_cast<std::ptrdiff_t>(state_.load(detail::relaxed) >> 1);
  }

 protected:
  semaphore(std::ptrdiff_t permits, bool bounded);

 private:
  // The word holds twice the number of free permits, plus the waiting bit. The bit is set while
  // tasks wait or leave (protocol LEAVERS, waiting/leavers.h); it may be set without either. While
  // it is set, only the holder of the queue's lock changes the word. Permits can be free beside the
  // bit only while a task leaves; that task passes them on when it runs on.
  static constexpr std::uint64_t waiting_bit = 1;
  static constexpr std::uint64_t one = 2;
  static constexpr std::uint64_t unbounded = static_cast<std::uint64_t>(PTRDIFF_MAX) * one;

  [[nodiscard]] static bool is_free(std::uint64_t now) noexcept {
    return now >= one && (now & waiting_bit) == 0;
  }
  bool wait_in(detail::waiter& w, detail::task_record& t) noexcept;
  HEDDLE_NOINLINE void release_slow(std::ptrdiff_t count);
  /// False: there would be more permits than there can be, and nothing was done.
  bool put_back(std::uint64_t count) noexcept;
  /// Hands free permits to those that wait. The lock is held, and the waiting bit is set; it is
  /// lowered if no task waits or leaves.
  void pass_on(detail::work_list& todo) noexcept;
  /// The task of `w` runs on: takes it out of the leavers. `back`: it gives its permit back.
  HEDDLE_NOINLINE void remove(detail::waiter& w, bool back) noexcept;

  detail::atomic<std::uint64_t> state_;
  const std::uint64_t bound_;  // twice the number of permits that there can be
  detail::wait_queue waiters_;
  detail::leavers leaving_;
};

/// A semaphore whose permits never exceed their initial number. One release too many is a bug of
/// the caller, and throws bad_value.
class bounded_semaphore : public semaphore {
 public:
  explicit bounded_semaphore(std::ptrdiff_t permits = 1) : semaphore(permits, true) {}
};

}  // namespace heddle
