// SPDX-License-Identifier: MIT
// Internal to sched.
// Who keeps a loop, and where: from a look at its thread to an entry of the ledger and a line of
// text.
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/seeing/stall_table.h>
#include <heddle/sched/stalls/stack_sample.h>
#include <heddle/sched/stalls/threads.h>

#include <cstddef>

namespace heddle::detail {

class worker;

/// What is known of a loop that is kept: one of the two is there, or neither.
struct kept_loop {
  const worker* loop = nullptr;
  duration so_far{};
  const stack_sample* sample = nullptr;  // its thread computes
  const blocked_call* call = nullptr;    // its thread sleeps in a system call
};

struct stall_text {
  char message[2048] = "";
};

/// Fills in the entry and the text: "loop 0 is kept by one step, 104 ms so far: task #80.2 import:
/// parse_line < parse < import <~ main". Nothing is allocated from the heap. False: there is no
/// memory for the reader; then the entry has what is known without it, and the text no names.
bool describe_stall(const kept_loop& what, seeing::stall_entry& entry, stall_text& text) noexcept;
/// "loop 0 was kept for 152 ms by task #80.2 import".
void describe_end(const seeing::stall_entry& entry, duration took, stall_text& text) noexcept;

}  // namespace heddle::detail
