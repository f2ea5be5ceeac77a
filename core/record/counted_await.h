// SPDX-License-Identifier: MIT
// Internal to core.
// The count of the budget (budget.h), for functions that have the thread's state at hand already.
#pragma once

#include <heddle/core/base/thread_state.h>

#include <cstdint>

namespace heddle::detail {

inline constexpr std::uint32_t awaits_a_look = 64;

/// The look at the clock: the step has run for longer than a step may. `fetches`: the loop may be
/// the only one.
HEDDLE_COLD bool step_took_long(thread_state& own, bool fetches) noexcept;

/// budget_spent(), with the state of the calling thread.
[[nodiscard]] inline bool counts_as_spent(thread_state& own) noexcept {
  return ++own.ready_awaits % awaits_a_look == 0 && step_took_long(own, false);
}

}  // namespace heddle::detail
