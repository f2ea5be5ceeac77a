// SPDX-License-Identifier: MIT
#include <heddle/core/record/eventual.h>

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/record/task_record.h>

namespace heddle::detail {

join_node* eventual::lock_joiners_slow() noexcept {
  backoff wait;
  for (;;) {
    auto bits = joiners_.load(relaxed);
    if ((bits & lock_bit) == 0 && joiners_.compare_exchange_weak(bits, bits | lock_bit, seq_cst,
                                                                 relaxed))  // as lock_joiners()
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
  join_node* in_order = nullptr;  // nodes were pushed in front: turn them round
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
    node->fire(
        *node, *this,
        todo);  // the node may be gone once its owner is scheduled, which is not before the unlock
  }
  unlock_joiners(closed_list());
}

void work_list::schedule(task_record& t) noexcept { append(t); }

bool work_list::cancel(eventual& target) noexcept {
  if (target.kind_ == kind::future) {
    if (!target.word_.settle_once(outcome::cancelled)) return false;
    target.ref();  // dropped when its joiners have been fired
    append(target);
    return true;
  }
  on_cancel owed;
  if (target.kind_ == kind::gathering)
    owed = target.word_.cancel();
  else if (!target.word_.cancel_unless(word::strands, owed))
    owed = static_cast<task_record&>(target).cancel_with_strands(*this);
  return owes(target, owed);
}

bool work_list::owes(eventual& target, on_cancel owed) noexcept {
  switch (owed) {
    case on_cancel::no: return false;
    case on_cancel::pending: break;
    case on_cancel::owe_leaf: append(target); break;
    case on_cancel::owe_fwd:
      if (target.kind_ == kind::gathering) target.ref();
      append(target);
      break;
  }
  return true;
}

void work_list::forward_self(task_record& t) noexcept { append(t); }

namespace {
// Tasks that await each other in a ring pass a cancellation round for ever, since nobody in it can
// take it. No honest chain is so long.
constexpr std::uint32_t longest_chain = 1u << 21;
}  // namespace

void work_list::forward(eventual& e) noexcept {
  const bool gathers = e.kind_ == kind::gathering;  // a task may be gone once it is thawed
  if (!gathers && ++forwarded_ > longest_chain) [[unlikely]] {
    auto& t = static_cast<task_record&>(e);
    t.wait()->leave();
    t.state().break_off();
    heddle::detail::schedule(t);
    return;
  }
  do {
    e.word_.begin_round();
    bool taken;
    if (gathers)
      taken = e.ops_->forward(e, *this);
    else
      taken = cancel(*static_cast<task_record&>(e).wait()->target());
    if (!taken) e.word_.set_must();
    switch (e.word_.thaw()) {
      case on_thaw::again: continue;
      case on_thaw::waits_on: break;
      case on_thaw::schedule:
        if (gathers)
          e.ops_->finish(e, *this);
        else
          heddle::detail::schedule(static_cast<task_record&>(e));
        break;
    }
    break;
  } while (true);
  if (gathers) e.unref();
}

void work_list::settle_all() noexcept {
  for (;;) {
    while (head_) settle_next();
    join_node* node = later_;
    if (!node) return;
    later_ = node->next;
    node->then(*node);
  }
}

void work_list::settle_next() noexcept {
  overtaking_point();  // the words have changed, and what that owes is still to be done
  eventual& e = *head_;
  head_ = e.next_;
  if (!head_) tail_ = nullptr;
  const auto w = e.word_.load();
  switch (word::state(w)) {
    case task_state::active: {
      auto& t = static_cast<task_record&>(e);
      if (w & word::interrupted) t.wait()->leave();
      heddle::detail::schedule(t);
      break;
    }
    case task_state::frozen: forward(e); break;
    case task_state::done:  // a future that was cancelled
      e.close_joiners(*this);
      if (e.ops_->finish) e.ops_->finish(e, *this);
      e.unref();
      break;
    default: HEDDLE_ASSERT(false, "a waiting task stood in a work list");
  }
}

}  // namespace heddle::detail
