// SPDX-License-Identifier: MIT
#include <heddle/sched/shield.h>

#include <heddle/core/seeing/layout.h>

#include <array>

namespace heddle::detail {

shield_state::shield_state(eventual& inner) : inner_(&inner) {
  reset(kind::future, ops, 2);
  belongs_to(inner.runtime());
  inner.ref();
  if (inner.add_joiner(node_)) return;
  (void)word_.settle_once(inner.how_ended());
  work_list nobody;
  close_joiners(nobody);
  unref();
}

// Called under the joiner lock of the inner side. A cancellation may have ended the outer side
// before. Then it finds the node fired, and does not drop the node's reference again.
void shield_state::fired(join_node& n, eventual& target, work_list& todo) noexcept {
  auto& s = *static_cast<node&>(n).owner;
  if (s.word_.settle_once(target.how_ended())) s.close_joiners(todo);
  s.unref();
}

// The outer side was cancelled. No lock is held, and the canceller has a reference.
void shield_state::finish(eventual& self, work_list&) noexcept {
  static_cast<shield_state&>(self).take_out();
}

void shield_state::take_out() noexcept {
  if (inner_->remove_joiner(node_)) unref();
}

void shield_state::abandon() noexcept {
  // Only the references of the node and of the caller are left: no code will ask for the result. If
  // the node is firing just now, take_out() fails and the node drops its own reference.
  // pairs with the other handles' unref()
  if (refs_.load(acquire) == 2 && !done()) take_out();
  unref();
}

void shield_state::drop(eventual& self) noexcept {
  auto& s = static_cast<shield_state&>(self);
  auto* inner = s.inner_;
  delete &s;
  inner->unref();
}

bool shield_wait::begin(task_record& t) {
  check_joinable(t, state_->inner());
  return suspend(t);
}

void shield_wait::check() {
  check_cancel();
  if (state_->how_ended() != outcome::cancelled) return;
  // A cancellation of the inner side is thrown by the await of the inner side. But if the outer
  // side was cancelled, the inner side may have ended since in another way.
  if (state_->inner().how_ended() == outcome::cancelled) return;
  if (task_record* t = cancelled_through()) throw_cancelled(*t);
  throw cancelled_error();
}

}  // namespace heddle::detail

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<shield_state> {
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail11shield_waitE",
       .name = "shield",
       .members = {seeing::member_list::one, offsetof(shield_wait, state_),
                   offsetof(shield_state, inner_)},
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds")
constexpr auto shield_kinds = std::to_array(layout_of<shield_state>::kinds);
}  // namespace

}  // namespace heddle::detail
