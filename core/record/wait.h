// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Protocol WAIT: one way to suspend, one way to wake. Every primitive waits through a wait_queue;
// every await of something that ends (a task, a future, a gathering) through join_wait. The states
// and transitions are in word.h, the checked model in the design notes:
//
//   suspend lock(P); available? take it, go on. Otherwise the word: active -> leaf (a cancellation
//   due: unlock, throw); link; unlock.
//              From here on neither frame, nor node, nor primitive may be touched: somebody may
//              have resumed us.
//   notify lock(P); pop until one is claimed (leaf -> active); give; unlock; schedule. After the
//   unlock, because the primitive may
//              live in the waiter's frame.  A node lost to a canceller is popped and left to him.
//   cancel one compare-exchange claims the wait; then lock(P); unlink if linked; unlock; schedule.
//   resume a load. If a cancellation claimed the wait or came after the hand-over: give back what
//   was given, throw.
//
// While a node is linked and P is locked its task cannot run on: a claimer must take P's lock
// before it schedules. So there is no ABA.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/record/task_record.h>
#include <heddle/core/record/work_list.h>
#include <heddle/core/task.h>

namespace heddle::detail {

/// A leaf wait in a wait_list. Part of an awaiter, in the waiting frame; its class knows how to
/// leave.
class waiter : public wait_base {
 public:
  waiter() = default;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  waiter* prev = nullptr;
  waiter* next = nullptr;
  task_record* task = nullptr;  // set: it suspended (or was refused by a cancellation)
  bool linked = false;          // under the queue's lock
  bool given = false;           // the waker handed over what was waited for
  bool refused = false;         // a cancellation was due: throw at once
  bool wish = false;            // the primitive's own: which of two things it waits for
  atomic<bool> past{false};     // protocol LEAVERS (sync/waiting/leavers.h)

 protected:
  ~waiter() = default;
};

/// The waiters of one primitive, oldest first. A lock of the primitive's guards them.
class wait_list {
 public:
  wait_list() = default;
  wait_list(const wait_list&) = delete;

  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
  [[nodiscard]] waiter* first() const noexcept { return head_; }

  /// Suspends `t` in `w`, last or before `place`; false: a cancellation was due, w.refused is set
  /// and nothing is linked.
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
  /// The oldest waiter that could be claimed, unlinked and now the caller's to schedule; or
  /// nullptr.
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
  /// Ends the process if somebody waits, and names him.
  void assert_empty() const noexcept {
    if (head_) [[unlikely]]
      destroyed_too_early();
  }

 private:
  [[noreturn]] HEDDLE_COLD void destroyed_too_early() const noexcept;

  waiter* head_ = nullptr;
  waiter* tail_ = nullptr;
};

/// The same with a lock, which guards both them and the primitive's own state.
class wait_queue : public wait_list {
 public:
  wait_queue() = default;
  /// Takes the lock, so that a primitive may be destroyed by whom it has just let go on, while the
  /// waker's call still leaves it.
  ~wait_queue() {
    lock_.lock();
    assert_empty();
  }

  void lock() noexcept { lock_.lock(); }
  void unlock() noexcept { lock_.unlock(); }
  /// A canceller has claimed `w`.
  void leave(waiter& w) noexcept;

 private:
  spin_lock lock_;
};

/// A leaf wait in a wait_queue.
class queue_waiter : public waiter {
 public:
  explicit queue_waiter(wait_queue& q) noexcept : queue(&q) {}
  void leave() noexcept override { queue->leave(*this); }

  wait_queue* const queue;

 protected:
  ~queue_waiter() = default;
};

/// Waiting for the end of `target` such that cancelling goes to the target: the waiter stays
/// suspended until it ends. Base of the awaiters of handles, futures and gatherings. The awaiter
/// holds a reference to the target.
class join_wait : public wait_base, public join_node {
 public:
  explicit join_wait(eventual& target) noexcept : join_node(&fired), target_(&target) {}

  void leave() noexcept override { (void)target_->remove_joiner(*this); }
  eventual* target() noexcept override { return target_; }
  const char* name() const noexcept override { return "await"; }

  [[nodiscard]] bool ready() const noexcept { return target_->done(); }
  /// False: it is done already, do not suspend.
  [[nodiscard]] bool suspend(task_record& t) noexcept;
  /// It has ended, and `t` goes on without waiting for it: a cancellation that came meanwhile is
  /// thrown at the resume.
  void ended_meanwhile(task_record& t) noexcept { task_ = &t; }
  /// After the resume: throws the caller's own cancellation if one is due.
  void check_cancel() {
    if (task_ && task_->state().take_cancel()) throw_cancelled(*task_);
  }

 protected:
  ~join_wait() = default;
  [[nodiscard]] eventual& awaited() const noexcept { return *target_; }
  /// Who was suspended by suspend(), or nullptr.
  [[nodiscard]] task_record* suspended() const noexcept { return task_; }
  /// The target was cancelled: was it by a cancellation of ours, which went to it?
  [[nodiscard]] task_record* cancelled_through() const noexcept {
    return task_ && word::requests(task_->state().load()) != 0 ? task_ : nullptr;
  }

 private:
  static void fired(join_node& node, eventual& target, work_list& todo) noexcept;

  eventual* const target_;
  task_record* task_ = nullptr;
};

/// The end of every leaf wait: true if what was waited for is to be given back and a cancellation
/// thrown.
[[nodiscard]] inline bool cancelled_at_resume(const waiter& w) noexcept {
  return w.refused || (w.task && w.task->state().take_cancel());
}

}  // namespace heddle::detail
