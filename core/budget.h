// SPDX-License-Identifier: MIT
// The budget: a task whose awaits are all ready never suspends, and would starve its loop.
// Operations that are ready ask here whether the task is to stand back; if so the awaiter suspends
// with what it got.
#pragma once

#include <heddle/core/executor_hooks.h>
#include <heddle/core/task.h>

#include <coroutine>
#include <new>

namespace heddle::detail {

/// Counts a ready await. True: the step has run for longer than a step may, and the loop is one of
/// several.
/// Cost: a call and an increment; every 64th looks at the clock.
HEDDLE_NOINLINE bool budget_spent() noexcept;
/// Its every 64th look, at the clock.
HEDDLE_COLD bool step_took_long(struct thread_state& own) noexcept;

/// Base of the awaiters whose operation may be ready: `return go_on();` in await_ready, and first
/// thing in await_suspend `if (stands_back()) return stand_back(h);`. What was got stays in the
/// awaiter; no cancellation is delivered at that resume.
class ready_await {
 protected:
  ready_await() = default;
  ~ready_await() = default;

  /// The operation has succeeded. The answer of await_ready.
  [[nodiscard]] bool go_on() noexcept { return !(stands_back_ = budget_spent()); }
  [[nodiscard]] bool stands_back() const noexcept { return stands_back_; }
  /// The answer of await_suspend. False: a strand found no memory for a record of its own, so it
  /// just goes on.
  template <heddle_promise P>
  bool stand_back(std::coroutine_handle<P> h) noexcept {
    task_record* t;
    try {
      t = &h.promise().suspending(h);
    } catch (const std::bad_alloc&) { return false; }
    reschedule(*t);
    return true;
  }

 private:
  bool stands_back_ = false;
};

}  // namespace heddle::detail
