// SPDX-License-Identifier: MIT
#include <heddle/sched/gather.h>

#include <heddle/core/seeing/layout.h>
#include <heddle/sched/runtime/runtime_state.h>

#include <array>

namespace heddle::detail {

gather_state::gather_state(mode m, std::size_t children, std::uint16_t runtime)
    : mode_(m), count_(children), nodes_(new node[children]), pending_(children + 1) {
  reset(kind::gathering, ops, 1);
  belongs_to(runtime);
  (void)word_.begin_forwarding();
}

void gather_state::add(std::size_t index, eventual& child) {
  if (child.runtime() != runtime() && child.runtime() != 0)
    throw_bad_value("gather: a child belongs to another runtime");
  node& n = nodes_[index];
  n.owner = this;
  n.child = &child;
  n.index = index;
  child.ref();
  ref();
  if (child.add_joiner(n)) return;
  work_list todo;
  child_ended(n, child, todo);  // the child was done already
  todo.settle();
}

void gather_state::seal() {
  // Children may end while others are still added. The count was one too high until now, so they
  // could not end the gather early. pairs with child_ended()
  if (pending_.fetch_sub(1, acq_rel) != 1) return;
  work_list todo;
  end(outcome::value, todo);
  todo.settle();
}

void gather_state::fired(join_node& n, eventual& target, work_list& todo) noexcept {
  auto& mine = static_cast<node&>(n);
  mine.owner->child_ended(mine, target, todo);
}

void gather_state::child_ended(node& n, eventual& target, work_list& todo) noexcept {
  const auto how = target.how_ended();
  if (how != outcome::value) {
    std::size_t first = none;
    // pairs with failed_child(), and with the same of other children
    if (mode_ == mode::first_error &&
        failed_.compare_exchange_strong(first, n.index, acq_rel, acquire)) {
      end(outcome::error, todo);
    } else {
      target.mark_retrieved();  // no task gets a second error, so it is not to be reported either
    }
  }
  // pairs with the same of other children, and with seal()
  if (pending_.fetch_sub(1, acq_rel) == 1) end(outcome::value, todo);
  // This may be the last reference to a dropped gather, which holds the results of the other
  // children. Their destructors are the user's. So the reference is dropped after the joiner lock
  // of the child that ends here was released.
  if (unref_unless_last()) return;
  todo.afterwards(n, [](join_node& fired) noexcept { static_cast<node&>(fired).owner->unref(); });
}

// The first caller ends the gather; later ones do nothing. If a canceller has frozen the word, that
// canceller ends the gather when it is done with forwarding: finish().
void gather_state::end(outcome how, work_list& todo) noexcept {
  auto nothing = outcome::none;
  // pairs with finish()
  if (!ends_as_.compare_exchange_strong(nothing, how, acq_rel, relaxed))
    return;  // the gather has ended before
  if (word_.claim() == on_wake::schedule) finish(*this, todo);
}

// How a cancelled gather ends.
//   Danger       A cancellation may come when all children have ended and the gather has not. Then
//                no child takes it. But the awaiting task counts it as delivered: it would be lost.
//   Not taken    The word of the gather keeps it as `must`, and the gather ends cancelled, however
//                the children ended.
//   settle_all   The word keeps it too if children took it (forward()). The gather ends cancelled.
//   first_error  If a child that took it fails, its error stands. If all children swallowed it, the
//                gather ends cancelled, as asyncio's does.
void gather_state::finish(eventual& self, work_list& todo) noexcept {
  auto& s = static_cast<gather_state&>(self);
  // pairs with end()
  auto how = s.ends_as_.load(acquire);
  // pairs with forward()
  if (how == outcome::value && s.asked_.load(acquire)) how = outcome::cancelled;
  (void)s.word_.finish_forwarding(how);
  s.close_joiners(todo);
}

// False: the canceller shall keep the cancellation in the word of the gather, as `must`.
bool gather_state::forward(eventual& self, work_list& todo) noexcept {
  auto& s = static_cast<gather_state&>(self);
  bool taken = false;
  for (std::size_t i = 0; i < s.count_; ++i)
    if (eventual* c = s.nodes_[i].child) taken = todo.cancel(*c) || taken;
  // pairs with finish()
  if (taken) s.asked_.store(true, release);
  return taken && s.mode_ != mode::settle_all;
}

void gather_state::drop(eventual& self) noexcept {
  auto& s = static_cast<gather_state&>(self);
  for (std::size_t i = 0; i < s.count_; ++i)
    if (s.nodes_[i].child) s.nodes_[i].child->unref();
  delete &s;
}

std::uint16_t runtime_number_here() {
  auto* s = this_runtime();
  if (!s) throw no_running_loop();
  return s->id;
}

void throw_gather_cancelled() { throw cancelled_error(); }

void gather_once::refuse() {
  throw_usage("co_await of a gathering that was awaited before: its results were moved out");
}

}  // namespace heddle::detail

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<gather_state> {
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail11gather_waitE",
       .name = "gather",
       .text = " %0 of %1 left",
       .figures = {{offsetof(gather_wait, state_), offsetof(gather_state, pending_), 8},
                   {offsetof(gather_wait, state_), offsetof(gather_state, count_), 8}},
       .members = {seeing::member_list::array, offsetof(gather_wait, state_),
                   offsetof(gather_state, nodes_), offsetof(gather_state, count_),
                   sizeof(gather_state::node), offsetof(gather_state::node, child)},
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds")
constexpr auto gather_kinds = std::to_array(layout_of<gather_state>::kinds);
}  // namespace

}  // namespace heddle::detail
