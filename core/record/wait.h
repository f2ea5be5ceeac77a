// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Protocol WAIT: one way to suspend, one way to wake. A task waits in a primitive through a
// wait_list and the primitive's lock, which most keep together in a wait_queue. It waits for a
// target (a task, a future, a gathering) through join_wait. The states and transitions are in
// word.h.
//
// Problem   A waker, a canceller and the waiting task race with each other. A task that two of them
//           resume runs twice at once. A task that each leaves to the other never runs again. What
//           was handed over to a task that is then cancelled is lost. And a thread that touches the
//           primitive too late touches freed memory: the primitive may live in the waiter's frame.
// Rejected  A flag that tasks poll. Moving the word before the lock is taken: the task is scheduled
//           while it is linked. Scheduling before the unlock: the frame with the lock may be gone.
// Chosen    Each wait is claimed by one compare-exchange on the task's word. The claimer takes the
//           primitive's lock P before it schedules the task.
//     suspend  lock(P); available? take it, unlock, go on. Otherwise the word: active -> leaf (a
//              cancellation is due: unlock, throw); link; unlock.
//              From here on the task touches neither its frame, nor its node, nor the primitive:
//              another thread may have resumed it.
//     notify   lock(P); pop nodes until one is claimed (leaf -> active); give; unlock; schedule.
//              A node whose task a canceller has claimed is popped and left to that canceller.
//     cancel   one compare-exchange claims the wait; lock(P); unlink if linked; unlock; schedule.
//     resume   a load of the word. If a cancellation claimed the wait, or came after the hand-over:
//              give back what was given, throw.
// Promised  While a node is linked and P is locked its task cannot run on, since a claimer must
//           take P before it schedules. So there is no ABA, and the claimer may read the node.
// Cost      Waiting and waking: two locked operations each (the lock and the word).
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/record/task_record.h>
#include <heddle/core/record/work_list.h>
#include <heddle/core/task.h>

#include <cstdint>

namespace heddle::detail {

/// A leaf wait in a wait_list. Part of an awaiter, in the waiting frame; the class that derives
/// from it says how it leaves its primitive.
//
// Who may touch what. The members of a node belong to
//   the task              before it suspends, and after it was resumed
//   the holder of lock P  while the node is linked
//   the claimer           from its claim until it schedules the task
// `past` has a rule of its own: protocol LEAVERS.
class waiter : public wait_base {
 public:
  waiter() = default;
  /// An operation may be moved until it is awaited. So a verb that wraps one (wait_for) keeps it.
  /// Throws usage_error if it has suspended a task.
  waiter(waiter&& unused) { unused.check_fresh(); }
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  waiter* prev = nullptr;
  waiter* next = nullptr;
  task_record* task = nullptr;  // set: it suspended (or was refused by a cancellation)
  bool linked = false;          // under the queue's lock
  bool given = false;           // the waker handed over what was waited for
  bool refused = false;         // a cancellation was due: throw at once
  bool wish = false;            // for the primitive: which of two things it waits for
  atomic<bool> past{false};     // protocol LEAVERS (sync/waiting/leavers.h)

 protected:
  ~waiter() = default;

  /// The first step of an await. Throws usage_error if this awaiter has suspended a task before:
  /// what it still holds of that wait would count for the new one. For a temporary the compiler
  /// knows the answer.
  void check_fresh() const {
    if (task) [[unlikely]]
      throw_awaited_again();
  }
  [[noreturn]] HEDDLE_COLD static void throw_awaited_again();
};

/// The waiters of one primitive, oldest first. The caller holds the primitive's lock.
class wait_list {
 public:
  wait_list() = default;
  wait_list(const wait_list&) = delete;

  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
  [[nodiscard]] waiter* first() const noexcept { return head_; }

  /// Suspends `t` in `w`, last or before `place`. False: a cancellation was due, so w.refused is
  /// set and nothing is linked.
  [[nodiscard]] bool suspend(waiter& w, task_record& t, waiter* place = nullptr) noexcept {
    w.task = &t;
    t.waits_in(&w);
    if (!t.state().begin_leaf()) {
      w.refused = true;
      return false;
    }
    link_before(w, place);
    return true;
  }
  /// The oldest waiter that could be claimed: it is unlinked, and the caller must schedule its
  /// task. nullptr: there is none.
  [[nodiscard]] waiter* claim_first() noexcept {
    while (waiter* w = head_) {
      unlink(*w);
      if (w->task->state().claim() == on_wake::schedule) return w;
    }
    return nullptr;
  }
  void unlink(waiter& w) noexcept {
    (w.prev ? w.prev->next : head_) = w.next;
    (w.next ? w.next->prev : tail_) = w.prev;
    w.prev = w.next = nullptr;
    w.linked = false;
  }
  void link_before(waiter& w, waiter* place) noexcept {
    w.prev = place ? place->prev : tail_;
    w.next = place;
    (w.prev ? w.prev->next : head_) = &w;
    (w.next ? w.next->prev : tail_) = &w;
    w.linked = true;
  }
  /// Ends the process if tasks wait here, and names them.
  void assert_empty() const noexcept {
    if (head_) [[unlikely]]
      destroyed_too_early();
  }

 private:
  [[noreturn]] HEDDLE_COLD void destroyed_too_early() const noexcept;

  waiter* head_ = nullptr;
  waiter* tail_ = nullptr;
};

/// A wait_list with a lock, which guards the waiters and the primitive's own state.
class wait_queue : public wait_list {
 public:
  wait_queue() = default;
  /// Takes the lock once. The task that was just let go may destroy the primitive, while the waker
  /// has not released the lock yet: the destructor waits for that.
  ~wait_queue() {
    lock_.lock();
    assert_empty();
  }

  void lock() noexcept { lock_.lock(); }
  void unlock() noexcept { lock_.unlock(); }
  /// Unlinks `w`, whose wait a canceller has claimed.
  void leave(waiter& w) noexcept;

 private:
  spin_lock lock_;
};

/// A leaf wait in a wait_queue.
class queue_waiter : public waiter {
 public:
  explicit queue_waiter(wait_queue& q) noexcept : queue(&q) {}
  queue_waiter(queue_waiter&&) = default;
  void leave() noexcept override { queue->leave(*this); }

  wait_queue* const queue;

 protected:
  ~queue_waiter() = default;
};

/// A forwarding wait, for the end of `target`: cancelling the waiting task goes to the target, and
/// the task stays suspended until the target ends. Base of the awaiters of handles, futures and
/// gatherings. The awaiter holds a reference to the target.
class join_wait : public wait_base, public join_node {
 public:
  explicit join_wait(eventual& target) noexcept : join_node(&fired), target_(&target) {}

  void leave() noexcept override { (void)target_->remove_joiner(*this); }
  eventual* target() noexcept override { return target_; }
  [[nodiscard]] std::uintptr_t place_bits() const noexcept override {
    return std::uintptr_t{place_high_} << 32 | place_low_;
  }
  const char* name() const noexcept override { return "await"; }

  [[nodiscard]] bool ready() const noexcept { return target_->done(); }
  /// False: the target is done already, do not suspend.
  [[nodiscard]] bool suspend(task_record& t) noexcept;
  /// The target has ended, and `t` suspends for another reason (it stands back): a cancellation
  /// that comes meanwhile is thrown at the resume.
  void ended_meanwhile(task_record& t) noexcept { task_ = &t; }
  /// After the resume: throws the caller's own cancellation if one is due.
  void check_cancel() {
    if (task_ && task_->state().take_cancel()) throw_cancelled(*task_);
  }

 protected:
  ~join_wait() = default;
  [[nodiscard]] eventual& awaited() const noexcept { return *target_; }
  /// The task that suspend() has suspended, or nullptr.
  [[nodiscard]] task_record* suspended() const noexcept { return task_; }
  /// The target was cancelled. Returns the waiting task if a cancellation of that task may be why;
  /// else nullptr.
  [[nodiscard]] task_record* cancelled_through() const noexcept {
    return task_ && word::requests(task_->state().load()) != 0 ? task_ : nullptr;
  }

 private:
  template <class>
  friend struct layout_of;
  static void fired(join_node& node, eventual& target, work_list& todo) noexcept;

  // Where it waits. A cancellation that is forwarded takes the record's link, in which that stands.
  // An address of 48 bits, in what the node leaves free: the wait stays as large as it was.
  // Set by suspend().
  std::uint16_t place_high_;
  std::uint32_t place_low_;
  eventual* const target_;
  task_record* task_ = nullptr;
};

static_assert(sizeof(join_wait) == 7 * sizeof(void*));

/// The end of every leaf wait. True: give back what was waited for, if it was given, and throw the
/// cancellation.
[[nodiscard]] inline bool cancelled_at_resume(const waiter& w) noexcept {
  return w.refused || (w.task && w.task->state().take_cancel());
}

}  // namespace heddle::detail
