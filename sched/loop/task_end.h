// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// The ends of a task that has no step to run any more.
#pragma once

#include <heddle/core/record/task_record.h>
#include <heddle/core/task.h>

namespace heddle::detail {

/// The end of a task's first frame.
struct root_end : frame_end {
  void (*destroy)(promise_base& frame) noexcept;
};

/// A task that was cancelled before its first step: its body never runs. On a loop.
void end_unstarted(task_record& t) noexcept;
/// A new task that could not be launched: its body never runs. The record goes with the caller's
/// handle.
void discard_unlaunched(task_record& t) noexcept;

/// The caller has the last reference to `t`, and is about to put it into a queue of a loop, which
/// drops it there. The record itself travels through the queues, so no memory is needed.
void mark_on_its_way_home(task_record& t) noexcept;
/// mark_on_its_way_home() was called for `t`: the thread that takes it out of a queue drops it.
[[nodiscard]] bool is_on_its_way_home(const task_record& t) noexcept;

}  // namespace heddle::detail
