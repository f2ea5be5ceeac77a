// SPDX-License-Identifier: MIT
// Internal to sched.
// Runtimes by number (core/base/runtime_number.h), for those who may come late. Not a public
// header.
//
// Problem   A done-callback, a timer's handle or an error may outlive the runtime it belongs to. A
//           pointer to the runtime would dangle.
// Chosen    What may come late keeps the number, and looks it up here under a lock. What is found
//           is kept alive by a count, its guests, until the call has returned.
// Promised  Nothing is found once a runtime has left the registry. A runtime waits for its guests
//           after that, and before it goes.
#pragma once

#include <heddle/core/base/runtime_number.h>
#include <heddle/core/record/task_record.h>
#include <heddle/sched/loop/group.h>

#include <cstdint>
#include <vector>

namespace heddle::detail {

/// Gives the runtime of these loops its numbers, and makes it known. Throws usage_error when too
/// many runtimes live at once.
void register_runtime(loop_group& g);
/// Marks the records that outlive it, then forgets it.
void unregister_runtime(loop_group& g) noexcept;

/// Calls `f` with the loops of runtime `number` while they are kept alive. False: that runtime is
/// gone. Takes the registry's lock, which all runtimes share, but not over the call.
bool with_loops(runtime_number number, void (*f)(loop_group&, void*), void* argument) noexcept;
/// The same for the runtime of a task, which may have ended.
bool with_loops_of(const task_record& t, void (*f)(loop_group&, void*), void* argument) noexcept;

/// The numbers of all runtimes that live now, in no order that means anything. Throws
/// std::bad_alloc.
[[nodiscard]] std::vector<runtime_number> living_runtimes();

/// As if `n` more runtimes had been made and had ended: for tests of numbers that come round.
void skip_runtime_numbers(std::uint32_t n) noexcept;

}  // namespace heddle::detail
