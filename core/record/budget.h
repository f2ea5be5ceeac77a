// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The budget: a task whose awaits are all ready never suspends. It would starve its loop, and no
// cancellation would ever reach it. So an operation that is ready asks here whether its task is to
// stand back. If so the awaiter suspends, and its resumption is a cancellation point.
// Cost: a call and an increment for each ready await; every 64th one looks at the clock.
#pragma once

#include <heddle/core/scheduler.h>
#include <heddle/core/task.h>

#include <coroutine>
#include <cstdint>
#include <new>
#include <source_location>

namespace heddle::detail {

/// Counts a ready await. True: the step has run for longer than a step may (1 ms), and the loop is
/// one of several. With one loop asyncio's order holds, so nothing stands back.
HEDDLE_NOINLINE bool budget_spent() noexcept;
/// The same for what fetches from the kernel, but with one loop too: the kernel brings more as fast
/// as a task takes it, so a task that only reads would never end its step.
HEDDLE_NOINLINE bool fetching_budget_spent() noexcept;

/// How a try ended that also counted in the budget: one call for a fast path in place of two.
enum class at_once : std::uint8_t {
  no,              // not ready: nothing was counted
  yes,             // ready
  but_stands_back  // ready, and the budget is spent
};

/// Base of the awaiters whose operation may be ready. await_ready says `return go_on();`, and
/// await_suspend begins with `if (stands_back()) return stand_back(h, where, note);`, where
/// `note(task)` makes the resumption look for a cancellation.
///
/// Problem   The operation has succeeded, and then a cancellation is thrown in place of its result:
///           a permit or an item would be lost.
/// Chosen    The awaiter gives back what it got, as after a hand-over that a cancellation overtook.
///           Where giving back would change an order (a queue), the task stands back first and
///           takes after that.
class ready_await {
 protected:
  ready_await() = default;
  ~ready_await() = default;

  /// The operation has succeeded. The answer of await_ready.
  [[nodiscard]] bool go_on() noexcept { return !(stands_back_ = budget_spent()); }
  /// The same for an operation that has counted itself.
  [[nodiscard]] bool go_on_after(at_once how) noexcept {
    if (how == at_once::yes) [[likely]]
      return true;
    stands_back_ = how == at_once::but_stands_back;
    return false;
  }
  [[nodiscard]] bool go_on_fetching() noexcept { return !(stands_back_ = fetching_budget_spent()); }
  [[nodiscard]] bool stands_back() const noexcept { return stands_back_; }
  /// The answer of await_suspend. False: a strand found no memory for a record of its own, so it
  /// goes on without standing back.
  template <heddle_promise P, class Note>
  bool stand_back(std::coroutine_handle<P> h, std::source_location where, Note note) noexcept {
    task_record* t;
    try {
      t = &h.promise().suspending(h, where);
    } catch (const std::bad_alloc&) { return false; }
    note(*t);
    give_way(*t);  // it may run elsewhere from here on
    return true;
  }

 private:
  bool stands_back_ = false;
};

}  // namespace heddle::detail
