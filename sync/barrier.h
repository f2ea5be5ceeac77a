// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/record/wait.h>
#include <heddle/core/task.h>
#include <heddle/sync/waiting/leavers.h>

#include <coroutine>
#include <cstddef>
#include <source_location>

namespace heddle {

/// A meeting point of a fixed number of tasks. The last to come lets all go on. The next round
/// begins when all of them have run on; a task that comes earlier waits for it.
///
///     (void)co_await b.wait();
///
/// Cost      wait(): 1 locked operation and those of suspending, and 2 more when it runs on. 0
///           allocations
/// Ordering  every wait() of a round synchronizes-with the end of every wait() of that round. The
///           task that came first is scheduled first
/// Cancel    a cancelled wait() leaves the round, which then needs another party. If the round was
///           complete before, the others go on. Nothing is broken
/// Throws    cancelled_error from a wait; broken_barrier_error as reset() and abort() say;
///           bad_value for less than 1 party. A barrier that is destroyed while tasks wait in it
///           ends the process
/// Threads   all but wait() may be called on any thread
class barrier {
  class waiting;

 public:
  explicit barrier(std::ptrdiff_t parties);
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;
  /// No task may wait in it. A task that was let go need not have run on yet.
  ~barrier() { leaving_.forget(waiters_); }

  /// Waits until the round is complete. Yields this task's number in it, from 0 in the order of
  /// coming.
  waiting wait() noexcept;
  /// Gives broken_barrier_error to the tasks of this round: those that wait, and those that were
  /// let go and have not run on yet. When all of them have run on, the barrier is as new. Tasks
  /// that came for the next round go on waiting. After an abort(): the barrier works again.
  void reset() noexcept;
  /// Gives broken_barrier_error to all tasks that wait, also for the next round, and to all that
  /// come until reset(). A task that a complete round has let go is not reached: on several loops
  /// it may be at work already.
  void abort() noexcept;

  [[nodiscard]] std::size_t parties() const noexcept { return parties_; }
  /// The number of tasks that wait in the present round; 0 while those of the last round leave.
  [[nodiscard]] std::size_t n_waiting() const noexcept;
  /// abort() was called, and no reset() since.
  [[nodiscard]] bool broken() const noexcept;

 private:
  // filling    a round collects its parties in waiters_
  // draining   a round was complete, and the tasks in leaving_ have not run on yet. A task that
  //            comes waits in next_
  // resetting  the same, but the tasks in leaving_ get broken_barrier_error
  // broken     from abort() until reset(). Tasks may be in leaving_, none in next_
  template <class>
  friend struct detail::layout_of;
  enum class state : unsigned char { filling, draining, resetting, broken };

  /// True: the task waits. False: the round is complete or broken, or a cancellation was due.
  bool arrive(waiting& w, detail::task_record& t) noexcept;
  void leave(detail::waiter& w) noexcept;
  void run_on(waiting& w) noexcept;
  // The lock is held in these three.
  void complete(detail::work_list& todo) noexcept;
  void drop_round(detail::work_list& todo) noexcept;
  void begin_round(detail::work_list& todo) noexcept;

  mutable detail::wait_queue waiters_;  // its lock guards all members
  detail::wait_list next_;              // for the next round; their waiter::wish is set
  detail::leavers leaving_;             // protocol LEAVERS, waiting/leavers.h
  const std::size_t parties_;
  std::size_t here_ = 0;  // how many are linked in waiters_
  state state_ = state::filling;
};

class [[nodiscard("co_await it: by itself it does nothing")]] barrier::waiting final
    : private detail::waiter {
 public:
  explicit waiting(barrier& b) noexcept : barrier_(b) {}

  static bool await_ready() noexcept { return false; }
  template <detail::heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    check_fresh();
    broken_ = false;  // it may have come to a broken barrier before, without waiting
    return barrier_.arrive(*this, h.promise().suspending(h, where));
  }
  std::size_t await_resume() {
    if (given && detail::leavers::runs_on(*this)) barrier_.run_on(*this);
    if (detail::cancelled_at_resume(*this)) [[unlikely]]
      detail::throw_cancelled(*task);
    return result();
  }

 private:
  friend class barrier;
  template <class>
  friend struct detail::layout_of;
  void leave() noexcept override { barrier_.leave(*this); }
  const char* name() const noexcept override { return "barrier"; }
  /// Throws broken_barrier_error.
  std::size_t result() const;

  barrier& barrier_;
  std::size_t index_ = 0;  // its number in the round, set when the round is complete
  bool broken_ = false;
};

inline barrier::waiting barrier::wait() noexcept { return waiting(*this); }

}  // namespace heddle
