// SPDX-License-Identifier: MIT
// Internal to core.
// Which coroutine a thread is in just now.
//
// Problem   The record of a task that runs tells of its last wait: that frame may be gone.
// Chosen    A coroutine runs as a call of its resume function, and keeps the address of its frame
//           in a register or on the stack. So among registers and stack we look for the address of
//           a frame that names the task's record, and whose resume function the thread is in.
// Promised  Where several frames fit, or none does, nothing is told. A compiler may put the body of
//           a callee into its caller: then the caller is told, and not the callee.
#pragma once

#include <heddle/core/seeing/program.h>

#include <cstddef>

namespace heddle::detail::seeing {

/// A thread as it stands: taken while it stands still, or blocks in the kernel.
struct native_stack {
  static constexpr std::size_t most_registers = 32;
  address stack = 0;  // the stack pointer
  address code = 0;   // what the thread executes
  std::size_t register_count = 0;
  address registers[most_registers] = {};
};

/// The frame of the coroutine that the thread is in, of the task or strand with that record; 0: not
/// known. `owner`: what its promise has as its record, which a strand without one tags.
[[nodiscard]] address running_frame(const program& of, const native_stack& thread, address record,
                                    address& owner) noexcept;

/// Where the function begins that the code at `at` belongs to, by the table that unwinders use; 0:
/// not known. It needs no symbols.
[[nodiscard]] address function_start(const program& of, address at) noexcept;

}  // namespace heddle::detail::seeing
