// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
#pragma once

#include <heddle/core/record/owed_list.h>
#include <heddle/core/record/task_record.h>

#include <cstdint>

namespace heddle::detail {

/// What follows from cancelling and notifying, gathered under whatever lock and settled with none
/// held: so there is no recursion and no lock order. What each entry is owed is read off its word:
///   active with `interrupted`  its leaf wait is ours: leave the primitive, then schedule
///   active                     schedule
///   frozen                     forward to its targets, then thaw
///   done                       (a future cancelled) fire its joiners
class work_list : public owed_list {
 public:
  /// A task that is the caller's to schedule.
  void schedule(task_record& t) noexcept;
  /// Asks `target` to cancel and notes what that owes. False: it was done already. Legal under any
  /// lock.
  bool cancel(eventual& target) noexcept;
  /// Does it all. No lock may be held.
  void settle() noexcept {
    if (head_ || later_) settle_all();
  }
  /// A task of the list was begun frozen by itself (a wait that forwards a pending cancellation).
  void forward_self(task_record& t) noexcept;

 private:
  void settle_all() noexcept;
  void settle_next() noexcept;
  void forward(eventual& e) noexcept;

  std::uint32_t forwarded_ = 0;
};

/// Cancels and settles: what `cancel()` of every handle does.
inline bool cancel_now(eventual& target) noexcept {
  work_list todo;
  const bool took = todo.cancel(target);
  todo.settle();
  return took;
}

/// Ends a task: the result (or error) is already in its storage. `how` is what the body did; a
/// pending cancellation overrides a value. Fires the joiners. The caller then drops the runtime's
/// reference.
inline outcome end_task(task_record& t, outcome how,
                        void (*destroy_result)(void*) noexcept) noexcept {
  const outcome stands = t.state().finish(how);
  if (stands != how && destroy_result) destroy_result(t.storage());
  work_list todo;
  t.close_joiners(todo);
  todo.settle();
  return stands;
}

}  // namespace heddle::detail
