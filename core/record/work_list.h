// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The work list: how what cancelling and notifying owe is settled.
//
// Problem   A cancellation goes along chains of tasks that await each other, and an end wakes tasks
//           whose ends wake others. Done on the spot, that recurses as deep as the chain is long,
//           and takes the next lock while it holds the last one.
// Chosen    What is owed is noted under whatever lock, and settled when none is held: no recursion,
//           no lock order.
// Cost      The list is linked through the entries themselves: nothing is allocated.
#pragma once

#include <heddle/core/record/owed_list.h>
#include <heddle/core/record/task_record.h>

#include <cstdint>

namespace heddle::detail {

/// A list of what is owed. What each entry is owed is read off its word:
///   active, interrupted  its leaf wait was claimed by a canceller: leave the primitive, schedule
///   active               schedule
///   frozen               forward to its targets, then thaw
///   done                 (a future was cancelled) fire its joiners
class work_list : public owed_list {
 public:
  /// Notes a task that the caller must schedule.
  void schedule(task_record& t) noexcept;
  /// Asks `target` to cancel and notes what that owes. False: the target was done already. Allowed
  /// under any lock: the one that it may take itself, that of STRAND, is a leaf lock.
  bool cancel(eventual& target) noexcept;
  /// Does all that is noted, and what that in turn owes. No lock may be held.
  void settle() noexcept {
    if (head_ || later_) settle_all();
  }
  /// Notes the calling task, which has frozen its own word: it began to wait for a target with a
  /// cancellation due, and forwards that.
  void forward_self(task_record& t) noexcept;

 private:
  void settle_all() noexcept;
  void settle_next() noexcept;
  void forward(eventual& e) noexcept;

  // Tasks that settle() has forwarded for. As wide as the pointers: with 32 bits an empty list was
  // made by two stores that overlap, and the look at it behind them waited 4 ns for both.
  std::uint64_t forwarded_ = 0;
};

/// Cancels and settles: what `cancel()` of every handle does.
inline bool cancel_now(eventual& target) noexcept {
  work_list todo;
  const bool took = todo.cancel(target);
  todo.settle();
  return took;
}

/// Ends a task whose result (or error) is already in its storage. `how` is what the body did; a
/// cancellation that is not delivered overrides a value. Fires the joiners. The caller then drops
/// the runtime's reference.
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
