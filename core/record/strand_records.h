// SPDX-License-Identifier: MIT
// Internal to core.
// The records of strands (protocol STRAND, strand_records.cpp): making one, cancelling all below a
// task or a strand, retiring one.
#pragma once

#include <heddle/core/record/owed_list.h>
#include <heddle/core/record/task_record.h>

namespace heddle::detail {

/// The part of task_record that keeps the strands of a task in order. Each function takes the lock
/// of that task's list, a leaf lock. Thread-safety: make() and retire() on the thread that runs the
/// strand; the others on any thread, under whatever lock.
struct strand_records {
  /// The unnamed record of the strand whose first frame is `first` and which was forked under
  /// `under`, registered with its task. It reports to `join`. Throws std::bad_alloc.
  static task_record* make(promise_base& first, task_record& under, void* join);
  /// The strand has ended: unregisters and drops its record.
  static void retire(task_record& strand) noexcept;
  /// Cancels `t`, a task or strand that has strands below, and each of them. What `t` itself is
  /// owed is returned; what the strands are owed is noted in `todo`.
  static on_cancel cancel(task_record& t, owed_list& todo) noexcept;
  /// A join below `t` has failed: cancels the promoted strands below which are inside a failed
  /// join. `inside` says that of the join that a strand reports to; it is called under the list's
  /// lock. A strand that was told to stop before is not told again.
  static void cancel_abandoned(task_record& t, owed_list& todo,
                               bool (*inside)(void* join)) noexcept;

 private:
  static void enter_scopes(task_record& strand, const task_extra& around);
  static void tell_to_stop(task_record& strand, owed_list& todo) noexcept;
  static bool was_told(const task_record& strand) noexcept;
  static task_record* first_below(task_record& t) noexcept;
};

}  // namespace heddle::detail
