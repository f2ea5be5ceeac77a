// SPDX-License-Identifier: MIT
// Internal to sched.
// What the system says of another thread of this process. By /proc and clocks: nothing of the
// thread runs or stops for it.
#pragma once

#include <heddle/core/base/time_types.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// Time of processors that the thread has used. Cost: a system call, some 300 ns.
[[nodiscard]] duration time_used_by(int thread) noexcept;
/// Its state as the system tells it: 'R', 'S', ...; 'X': it has ended, or the system does not tell.
/// Cost: some 10 us.
[[nodiscard]] char state_of_thread(int thread) noexcept;

/// Where a thread sleeps.
struct blocked_call {
  std::uint32_t number = 0;  // of the system call
  std::uint64_t stack = 0;   // the top of its stack
};
/// False: it runs, or the system does not tell.
[[nodiscard]] bool look_at_call(int thread, blocked_call& to) noexcept;

}  // namespace heddle::detail
