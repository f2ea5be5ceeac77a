// SPDX-License-Identifier: MIT
#include <heddle/core/record/eventual.h>

#include <heddle/core/base/spin_lock.h>

namespace heddle::detail {

join_node* eventual::lock_joiners_slow() noexcept {
  backoff wait;
  for (;;) {
    auto bits = joiners_.load(relaxed);
    // pairs as in lock_joiners()
    if ((bits & lock_bit) == 0 &&
        joiners_.compare_exchange_weak(bits, bits | lock_bit, seq_cst, relaxed))
      return reinterpret_cast<join_node*>(bits);
    wait.pause();
  }
}

bool eventual::remove_joiner(join_node& node) noexcept {
  auto* head = lock_joiners();
  const bool was_linked = node.linked;
  if (was_linked) {
    node.linked = false;
    if (node.prev)
      node.prev->next = node.next;
    else
      head = node.next;
    if (node.next) node.next->prev = node.prev;
  }
  unlock_joiners(head);
  return was_linked;
}

void eventual::fire_joiners(work_list& todo) noexcept {
  auto* head = lock_joiners();
  join_node* in_order = nullptr;  // nodes were pushed in front, so they are turned round
  while (head) {
    auto* next = head->next;
    head->next = in_order;
    in_order = head;
    head = next;
  }
  while (in_order) {
    auto* node = in_order;
    in_order = node->next;
    node->linked = false;
    // The node may be gone once its owner is scheduled. That is not before the unlock.
    node->fire(*node, *this, todo);
  }
  unlock_joiners(closed_list());
}

}  // namespace heddle::detail
