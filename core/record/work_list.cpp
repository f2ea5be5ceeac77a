// SPDX-License-Identifier: MIT
#include <heddle/core/record/work_list.h>

#include <heddle/core/record/strand_records.h>
#include <heddle/core/simulated/world.h>

namespace heddle::detail {

void work_list::schedule(task_record& t) noexcept { append(t); }

bool work_list::cancel(eventual& target) noexcept {
  if (target.kind_ == kind::future) {
    if (!target.word_.settle_once(outcome::cancelled)) return false;
    target.ref();  // dropped when its joiners are fired
    append(target);
    return true;
  }
  on_cancel owed;
  if (target.kind_ == kind::gathering)
    owed = target.word_.cancel();
  else if (!target.word_.cancel_unless(word::strands, owed))
    owed = strand_records::cancel(static_cast<task_record&>(target), *this);
  return owes(target, owed);
}

void work_list::forward_self(task_record& t) noexcept { append(t); }

namespace {
// Tasks that await each other in a ring pass a cancellation round for ever, since no task of the
// ring can take it. No honest chain is so long: here the ring is broken.
constexpr std::uint32_t longest_chain = 1u << 21;
}  // namespace

void work_list::forward(eventual& e) noexcept {
  const bool gathers = e.kind_ == kind::gathering;  // read now: a thawed task may be gone
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
    if constexpr (notes_places) {
      // This list took the link of the record. Nobody else touches the record while it is frozen.
      if (!gathers) {
        auto& t = static_cast<task_record&>(e);
        t.put_place_bits(t.wait()->place_bits());
      }
    }
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
  overtaking_point();  // the words have changed, and what that owes is not done yet
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
