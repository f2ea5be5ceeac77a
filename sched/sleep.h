// SPDX-License-Identifier: MIT
// sleep and yield_now.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/record/wait.h>
#include <heddle/sched/loop.h>

#include <concepts>
#include <type_traits>

namespace heddle {
namespace detail {

/// Arms `node` in the calling loop's timers. The lock is held by the caller through
/// `timers_of_this_loop`.
timers& timers_of_this_loop();

class yield_awaiter : public wait_base {
 public:
  static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  void await_suspend(std::coroutine_handle<P> h) {
    task_ = &h.promise().suspending(h);
    suspend();
  }
  void await_resume() {
    if (task_->state().take_cancel()) throw_cancelled(*task_);
  }

 private:
  void suspend() noexcept;
  task_record* task_ = nullptr;
};

class sleep_awaiter : public wait_base, public timer_node {
 public:
  /// `yields`: no timer, just a turn for the others.
  sleep_awaiter(time_point deadline, bool yields) noexcept : timer_node(&fired), yields_(yields) {
    sequence = static_cast<std::uint64_t>(deadline.time_since_epoch().count());
  }

  const char* name() const noexcept override { return "sleep"; }
  void leave() noexcept override;

  static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    return suspend(h.promise().suspending(h));
  }
  void await_resume() {
    if (refused_ || task_->state().take_cancel()) throw_cancelled(*task_);
  }

 private:
  static void fired(timer_node& node, work_list& todo) noexcept;
  bool suspend(task_record& t);

  // 48 bytes in all, since a million sleepers have one each: the flags fill the node's last word,
  // and the deadline stands where the sequence will stand once it is armed.
  bool yields_;
  bool refused_ = false;
  task_record* task_ = nullptr;
};
static_assert(sizeof(sleep_awaiter) == 48);

/// A sleep that then yields a value.
template <class T>
class sleep_with_result : public sleep_awaiter {
 public:
  sleep_with_result(time_point deadline, bool yields, T value)
      : sleep_awaiter(deadline, yields), value_(std::move(value)) {}
  T await_resume() {
    sleep_awaiter::await_resume();
    return std::move(value_);
  }

 private:
  T value_;
};

template <class Rep, class Period>
time_point deadline_after(std::chrono::duration<Rep, Period> d) {
  return saturating_add(clock::now(), to_duration(d));
}

}  // namespace detail

/// Lets everything else that is ready on this loop run first. A cancellation point.
/// Cost: one queue entry and a resume, some 15 ns with one loop. Throws cancelled_error.
[[nodiscard]] inline detail::yield_awaiter yield_now() noexcept { return {}; }

/// Suspends the task for `d`: never shorter, later by what the loop is busy. Zero or negative: one
/// yield, no timer. An infinite or very long `d` sleeps until it is cancelled. Cost: one timer,
/// create and expire some 60 ns; 0 allocations. Cancel: removes the timer at once. Throws
/// cancelled_error; bad_value for a NaN.
template <class Rep, class Period>
[[nodiscard]] detail::sleep_awaiter sleep(std::chrono::duration<Rep, Period> d) {
  const auto deadline = detail::deadline_after(d);
  return {deadline, d <= std::chrono::duration<Rep, Period>::zero()};
}
/// The same, and yields `result` then.
template <class Rep, class Period, class T>
[[nodiscard]] detail::sleep_with_result<T> sleep(std::chrono::duration<Rep, Period> d, T result) {
  const auto deadline = detail::deadline_after(d);
  return {deadline, d <= std::chrono::duration<Rep, Period>::zero(), std::move(result)};
}

}  // namespace heddle
