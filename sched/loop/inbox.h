// SPDX-License-Identifier: MIT
// Internal to sched.
// What other threads and loops send to a loop.
//
// Protocol INBOX. Many producers, one consumer, and the order of pushing is kept, across producers
// too: a stack that is pushed by compare-exchange and taken whole by exchange, then turned round.
// The push is the one read-modify-write beside it; being seq_cst it is also the fence of the sleep
// protocol (idle.h): the consumer announces its sleep before it looks here a second time.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sched/loop/work.h>

namespace heddle::detail {

class inbox {
 public:
  /// Anybody.
  void push(work item) noexcept {
    noted(happening::sent);
    auto head = head_.load(relaxed);
    do {
      item.set_next(work::from(head));
    } while (!head_.compare_exchange_weak(head, item.bits(), seq_cst,
                                          relaxed));  // pairs with take() and looks_empty()
  }
  /// The consumer: everything, oldest first, linked by next(); or an empty work.
  work take() noexcept {
    if (head_.load(relaxed) == 0) return {};
    auto item = work::from(head_.exchange(0, acquire));  // pairs with push()
    work in_order;
    while (item) {
      const auto next = item.next();
      item.set_next(in_order);
      in_order = item;
      item = next;
    }
    return in_order;
  }
  [[nodiscard]] bool looks_empty() const noexcept { return head_.load(seq_cst) == 0; }

 private:
  atomic<std::uintptr_t> head_{0};
};

}  // namespace heddle::detail
