// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/task.h>
#include <heddle/core/wait.h>

#include <coroutine>
#include <cstddef>

namespace heddle {

/// A meeting point of a fixed number of tasks: the last to come lets all go on, and the next round
/// begins at once.
///
/// Cost      wait(): 1 locked operation and those of suspending; 0 allocations
/// Ordering  every wait() of a round synchronizes-with the end of every wait() of that round; who
///           came first is scheduled first
/// Cancel    a cancelled wait() leaves the round, which then needs another party, unless it was
///           complete before; nothing is broken
/// Throws    cancelled_error; broken_barrier_error after abort(), or in those who wait during
///           reset(); bad_value for less than 1 party
class barrier {
  class waiting;

 public:
  explicit barrier(std::ptrdiff_t parties);
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  /// Yields this task's number in the round, from 0 in the order of coming.
  waiting wait() noexcept;
  /// Who waits gets broken_barrier_error; the barrier is as new. Nobody waits: nothing but the
  /// repair of an abort.
  void reset() noexcept;
  /// Who waits, and who comes later until reset(), gets broken_barrier_error.
  void abort() noexcept;

  [[nodiscard]] std::size_t parties() const noexcept { return parties_; }
  /// Tasks that wait in the present round.
  [[nodiscard]] std::size_t n_waiting() const noexcept;
  [[nodiscard]] bool broken() const noexcept;

 private:
  enum class arrival { waits, goes_on, broken };
  arrival arrive(waiting& w, detail::task_record& t) noexcept;
  void leave(detail::waiter& w) noexcept;
  void drop_all(detail::work_list& todo) noexcept;

  mutable detail::wait_queue waiters_;  // its lock guards all of it
  const std::size_t parties_;
  std::size_t here_ = 0;  // linked waiters
  bool broken_ = false;
};

class [[nodiscard("co_await it: by itself it does nothing")]] barrier::waiting final
    : private detail::waiter {
 public:
  explicit waiting(barrier& b) noexcept : barrier_(b) {}

  static bool await_ready() noexcept { return false; }
  template <detail::heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    const auto how = barrier_.arrive(*this, h.promise().suspending(h));
    return how == arrival::waits;
  }
  std::size_t await_resume() {
    if (detail::cancelled_at_resume(*this)) [[unlikely]]
      detail::throw_cancelled(*task);
    return result();
  }

 private:
  friend class barrier;
  void leave() noexcept override { barrier_.leave(*this); }
  const char* name() const noexcept override { return "barrier"; }
  /// Throws broken_barrier_error.
  std::size_t result() const;

  barrier& barrier_;
  std::size_t index_ = 0;  // given, or it was the last: its number
  bool broken_ = false;
};

inline barrier::waiting barrier::wait() noexcept { return waiting(*this); }

}  // namespace heddle
