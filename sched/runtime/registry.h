// SPDX-License-Identifier: MIT
// Internal to sched.
// Runtimes by number, for those who may come late. Not a public header.
#pragma once

#include <heddle/core/base/runtime_number.h>
#include <heddle/core/record/task_record.h>

#include <cstdint>

namespace heddle::detail {

class runtime_state;

/// Gives `s` its numbers. Throws usage_error when too many runtimes live at once.
void register_runtime(runtime_state& s);
void unregister_runtime(runtime_state& s) noexcept;
void forget_loops_in_children();

/// Runtimes by number, for those who may come late: calls `f` with it while it is kept alive; false
/// if it is gone.
bool with_runtime(runtime_number number, void (*f)(runtime_state&, void*), void* argument) noexcept;
/// The same for the runtime of a task, which may have ended.
bool with_runtime_of(const task_record& t, void (*f)(runtime_state&, void*),
                     void* argument) noexcept;

/// As if `n` more runtimes had been made and had ended: for tests of numbers that come round.
void skip_runtime_numbers(std::uint32_t n) noexcept;

}  // namespace heddle::detail
