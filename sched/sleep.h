// SPDX-License-Identifier: MIT
// sleep: suspends the calling task for a time. yield_now: lets other tasks run first.
//
//   co_await h::yield_now();  // what else is ready runs first
//   co_await h::sleep(1ms);
//   const int late = co_await h::sleep(100us, 7);  // yields 7
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/record/wait.h>
#include <heddle/sched/loop.h>

#include <concepts>
#include <source_location>
#include <type_traits>

namespace heddle {
namespace detail {

/// The timers of the calling loop. The caller locks them to arm a timer. Throws no_running_loop on
/// a foreign thread.
timers& timers_of_this_loop();

class yield_awaiter : public wait_base {
 public:
  static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  void await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    task_ = &h.promise().suspending(h, where);
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
  /// `yields`: the wait is one yield, without a timer.
  sleep_awaiter(time_point deadline, bool yields) noexcept : timer_node(&fired), yields_(yields) {
    sequence = static_cast<std::uint64_t>(deadline.time_since_epoch().count());
  }
  /// It may be moved until it is awaited. Throws usage_error after that.
  sleep_awaiter(sleep_awaiter&& unused) : timer_node(&fired), yields_(unused.yields_) {
    unused.check_fresh();
    sequence = unused.sequence;
  }

  const char* name() const noexcept override { return "sleep"; }
  void leave() noexcept override;

  static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    return suspend(h.promise().suspending(h, where));
  }
  void await_resume() {
    if (refused_ || task_->state().take_cancel()) throw_cancelled(*task_);
  }

 private:
  static void fired(timer_node& node, work_list& todo) noexcept;
  bool suspend(task_record& t);
  /// Throws usage_error if it has suspended a task before.
  void check_fresh() const;

  // 48 bytes in all, since a million sleepers have one each. So the flags fill the last word of the
  // node. Until the node is armed its deadline stands in the place of the sequence.
  bool yields_;
  bool refused_ = false;
  task_record* task_ = nullptr;
};
static_assert(sizeof(sleep_awaiter) == 48);

/// A sleep that yields a value at its end.
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

/// Lets everything else that is ready on this loop run first, at each await. A cancellation point.
/// Cost      one queue entry and a resume, some 15 ns with one loop
/// Throws    cancelled_error
[[nodiscard]] inline detail::yield_awaiter yield_now() noexcept { return {}; }

/// Suspends the task for `d`: never shorter, and longer while its loop is busy. If `d` is zero or
/// negative this is one yield, without a timer. With an infinite or very long `d` it sleeps until
/// it is cancelled.
/// Cost      one timer, some 60 ns to arm and to expire; no allocation
/// Throws    cancelled_error; bad_value for a NaN; usage_error if it is awaited a second time
/// Cancel    removes the timer at once
template <class Rep, class Period>
[[nodiscard]] detail::sleep_awaiter sleep(std::chrono::duration<Rep, Period> d) {
  const auto deadline = detail::deadline_after(d);
  return {deadline, d <= std::chrono::duration<Rep, Period>::zero()};
}
/// The same, and yields `result` at the end.
template <class Rep, class Period, class T>
[[nodiscard]] detail::sleep_with_result<T> sleep(std::chrono::duration<Rep, Period> d, T result) {
  const auto deadline = detail::deadline_after(d);
  return {deadline, d <= std::chrono::duration<Rep, Period>::zero(), std::move(result)};
}

}  // namespace heddle
