// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/record/wait.h>
#include <heddle/core/task.h>
#include <heddle/sync/waiting/leavers.h>

#include <coroutine>
#include <cstddef>

namespace heddle {

/// A meeting point of a fixed number of tasks: the last to come lets all go on. The next round
/// begins when all of them have run on; who comes before waits for it.
///
/// Cost      wait(): 1 locked operation and those of suspending, and 2 when it runs on; 0
///           allocations
/// Ordering  every wait() of a round synchronizes-with the end of every wait() of that round; who
///           came first is scheduled first
/// Cancel    a cancelled wait() leaves the round, which then needs another party, unless it was
///           complete before; nothing is broken
/// Throws    cancelled_error; broken_barrier_error after abort(), or in those who wait, or were let
///           go and have not run on, at a reset(); bad_value for less than 1 party
class barrier {
  class waiting;

 public:
  explicit barrier(std::ptrdiff_t parties);
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;
  /// Nobody may wait in it. Who was let go may still be on its way out of it.
  ~barrier() { leaving_.forget(waiters_); }

  /// Yields this task's number in the round, from 0 in the order of coming.
  waiting wait() noexcept;
  /// Who waits gets broken_barrier_error, and who was let go and has not run on yet. The barrier is
  /// as new when all of these have; who came for the next round stays. Else: repairs an abort.
  void reset() noexcept;
  /// Who waits, also for the next round, and who comes later until reset(), gets
  /// broken_barrier_error. Who was let go by a complete round is through: on several loops that
  /// task may be at work already.
  void abort() noexcept;

  [[nodiscard]] std::size_t parties() const noexcept { return parties_; }
  /// Tasks that wait in the present round; 0 while those of the last one leave.
  [[nodiscard]] std::size_t n_waiting() const noexcept;
  [[nodiscard]] bool broken() const noexcept;

 private:
  // filling    a round collects its parties in waiters_
  // draining   a round was complete, and leaving_ has not run on: who comes waits in next_
  // resetting  the same, but what leaves is broken
  // broken     until reset(); leaving_ may hold some, and next_ none
  enum class state : unsigned char { filling, draining, resetting, broken };

  /// True: it waits.
  bool arrive(waiting& w, detail::task_record& t) noexcept;
  void leave(detail::waiter& w) noexcept;
  void run_on(waiting& w) noexcept;
  void complete(detail::work_list& todo) noexcept;
  void drop_round(detail::work_list& todo) noexcept;
  void begin_round(detail::work_list& todo) noexcept;

  mutable detail::wait_queue waiters_;  // its lock guards all of it
  detail::wait_list next_;              // waiter::wish: it stands here
  detail::leavers leaving_;
  const std::size_t parties_;
  std::size_t here_ = 0;  // linked in waiters_
  state state_ = state::filling;
};

class [[nodiscard("co_await it: by itself it does nothing")]] barrier::waiting final
    : private detail::waiter {
 public:
  explicit waiting(barrier& b) noexcept : barrier_(b) {}

  static bool await_ready() noexcept { return false; }
  template <detail::heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    return barrier_.arrive(*this, h.promise().suspending(h));
  }
  std::size_t await_resume() {
    if (given && detail::leavers::runs_on(*this)) barrier_.run_on(*this);
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
  std::size_t index_ = 0;  // its number in the round, once that is complete
  bool broken_ = false;
};

inline barrier::waiting barrier::wait() noexcept { return waiting(*this); }

}  // namespace heddle
