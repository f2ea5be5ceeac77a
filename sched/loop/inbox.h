// SPDX-License-Identifier: MIT
// Internal to sched.
// The inbox of a loop: pinned tasks and callbacks that other threads and loops send to it.
//
// Protocol INBOX
//   Danger    The items must run in the order in which they were sent, across senders too. Under a
//             lock a preempted sender would hold up all other senders, and the loop.
//   Remedy    A stack, linked through the items. A sender pushes by one compare-exchange. The loop
//             takes the whole stack by one exchange, and then reverses it.
//   Cost      One read-modify-write a push. It is seq_cst, so it is also the sender's fence in
//             LOOK-TWICE (idle.h). The loop walks each batch twice.
//   Touch     Any thread pushes. Only the owner of the loop takes. A pushed item belongs to the
//             inbox until it is taken: nobody else may change its link.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sched/loop/work.h>

namespace heddle::detail {

class inbox {
 public:
  /// From any thread.
  void push(work item) noexcept {
    noted(happening::sent);
    auto head = head_.load(relaxed);
    do {
      item.set_next(work::from(head));
      // pairs with take(), and in LOOK-TWICE with looks_empty()
    } while (!head_.compare_exchange_weak(head, item.bits(), seq_cst, relaxed));
  }
  /// Owner only. Takes all items, the oldest first, linked by next(); or returns an empty work.
  work take() noexcept {
    if (head_.load(relaxed) == 0) return {};
    // pairs with push()
    auto item = work::from(head_.exchange(0, acquire));
    work in_order;
    while (item) {
      const auto next = item.next();
      item.set_next(in_order);
      in_order = item;
      item = next;
    }
    return in_order;
  }
  /// From any thread; a hint. For the sleeper's second look it is exact (LOOK-TWICE).
  [[nodiscard]] bool looks_empty() const noexcept {
    // pairs with push(): LOOK-TWICE
    return head_.load(seq_cst) == 0;
  }

 private:
  template <class>
  friend struct layout_of;
  atomic<std::uintptr_t> head_{0};
};

}  // namespace heddle::detail
