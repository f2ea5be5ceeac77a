// SPDX-License-Identifier: MIT
// Internal to sched.
// The part of a loop that fork_join touches: the fork deque, and the turn of forks.
//
// A turn of forks
//   Danger    A recursion of forks never comes back to its loop. Timers, I/O and ready tasks of
//             that loop would wait until the recursion ends.
//   Remedy    Each fork spends one from a budget. When the budget is spent control returns to the
//             loop. The budget follows the clock, so that a turn lasts about 50 us.
//   Cost      A decrement for each fork, and two looks at the clock for each turn.
//   Touch     All of it is the owner's, except `strands` (deque.h) and the word behind `hungry`.
#pragma once

#include <heddle/core/base/thread_state.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/sched/loop/deque.h>
#include <heddle/sched/loop/policy.h>

namespace heddle::detail {

extern template class deque<promise_base*>;

class worker;

struct fork_state {
  deque<promise_base*> strands;
  std::uint32_t per_turn = policy::first_forks_a_turn;  // follows how long turns take (adapt)
  std::uint32_t budget = per_turn;
  const atomic<std::uint32_t>* hungry = nullptr;         // not 0: loops sleep that could steal
  worker* owner = nullptr;                               // the loop that has these forks
  void (*wake_thief)(worker& owner) noexcept = nullptr;  // for it: wakes a loop that could steal
  bool turn_over = false;  // the budget is spent: the loop looks at timers and I/O first

  /// Sets the length of the next turn, in forks, after a turn that lasted `took`.
  ///
  /// What is promised is time: with 1 us of work in each, a fixed 2048 forks kept timers waiting
  /// for 2 ms. But a look at the clock costs more than a fork, so forks are counted. A turn that
  /// the system interrupted makes the next turns too short. A turn may grow to the double of the
  /// one before, which soon repairs that.
  void adapt(duration took) noexcept;
};

/// Those of the loop that runs here. Inline although it reads a thread-local: it is for functions
/// that are never inlined into a coroutine.
HEDDLE_INLINE fork_state& forks_here() noexcept {
  return *static_cast<fork_state*>(self_of_thread.forks);
}

}  // namespace heddle::detail
