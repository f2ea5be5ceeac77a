// SPDX-License-Identifier: MIT
// Internal to sched.
// The part of a loop that fork_join touches.
#pragma once

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

  /// A turn took so long. Forks are counted, since a look at the clock costs more than one, but
  /// what is promised is time: with a microsecond of work in each, a fixed number of 2048 kept
  /// timers waiting for 2 ms. A turn that was interrupted by the system makes the next ones too
  /// short, which the doubling soon repairs.
  void adapt(duration took) noexcept;
};

}  // namespace heddle::detail
