// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The part of a work list (work_list.h) that only notes what is owed. STRAND notes in it too, and
// the work list needs STRAND: so noting and settling are two units.
#pragma once

#include <heddle/core/base/assert.h>
#include <heddle/core/record/eventual.h>

namespace heddle::detail {

/// What cancelling and notifying owe, noted under whatever lock. Entries are linked through their
/// next_, so noting allocates nothing. What each entry is owed is read off its word (work_list.h).
/// Thread-safety: one thread's; it lives on that thread's stack.
class owed_list {
 public:
  owed_list(const owed_list&) = delete;
  owed_list& operator=(const owed_list&) = delete;

  /// Notes what the cancellation of `target`'s word owes. False: the target was done already.
  bool owes(eventual& target, on_cancel owed) noexcept {
    switch (owed) {
      case on_cancel::no: return false;
      case on_cancel::pending: break;
      case on_cancel::owe_leaf: append(target); break;
      case on_cancel::owe_forwarding:
        if (target.kind_ == kind::gathering) target.ref();
        append(target);
        break;
    }
    return true;
  }
  /// `node` has fired and belongs to the caller. settle() calls `then` with it, with no lock held,
  /// when all that was to be scheduled is scheduled. For the drop of a reference that may be the
  /// last one: destructors of the user's may ask for the lock that is held now.
  void afterwards(join_node& node, void (*then)(join_node&) noexcept) noexcept {
    node.then = then;
    node.next = later_;
    later_ = &node;
  }
  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr && later_ == nullptr; }

 protected:
  owed_list() = default;
  ~owed_list() { HEDDLE_DEBUG_ASSERT(!head_ && !later_, "a work list was dropped unsettled"); }

  void append(eventual& e) noexcept {
    e.next_ = nullptr;
    if (tail_)
      tail_->next_ = &e;
    else
      head_ = &e;
    tail_ = &e;
  }

  eventual* head_ = nullptr;
  eventual* tail_ = nullptr;
  join_node* later_ = nullptr;
};

}  // namespace heddle::detail
