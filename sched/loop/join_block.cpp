// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/join_block.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/core/record/strand_records.h>
#include <heddle/core/record/work_list.h>
#include <heddle/core/scheduler.h>
#include <heddle/sched/loop/fork_state.h>

namespace heddle::detail {

namespace {

HEDDLE_INLINE promise_base& promise_in(void* frame) noexcept {
  return promise_base::of(std::coroutine_handle<>::from_address(frame));
}

/// The rare ends of a fork: other loops want work, or the turn of forks is over.
HEDDLE_NOINLINE std::coroutine_handle<> go_on(fork_state& f, promise_base& first) noexcept {
  join_block& j = join_block::of(first);
  const bool hungry = f.hungry->load(relaxed) != 0;
  const bool over = --f.budget == 0;
  if (over) {
    // The turn is over: the loop first serves timers, I/O and the queues, then pops the first
    // child. So all children start from the deque, counted.
    f.budget = f.per_turn;
    f.turn_over = true;
    // Relaxed suffices: siblings may have been stolen and may have ended, but the first child has
    // not begun, so `pending` cannot come to 0 here.
    j.pending.fetch_add(j.count, relaxed);
    f.strands.push(&first);  // from here on the parent may be resumed on another loop
  }
  if (hungry || f.strands.wants_publishing()) f.strands.publish(hungry);
  if (hungry) f.wake_thief(*f.owner);
  return over ? std::noop_coroutine() : first.handle();
}

// It makes only tail calls, so it saves no registers.
HEDDLE_INLINE std::coroutine_handle<> start_now(fork_state& f, call_or_end where,
                                                promise_base& waiting, void* const* frames,
                                                std::size_t children) {
  ::new (static_cast<void*>(&where.own())) join_block(narrow<std::int32_t>(children), waiting);
  const auto record = waiting.record | promise_base::strand_tag;
  const auto others = static_cast<std::int64_t>(children) - 1;
  // Pushed from the last to the second: the owner pops the second first, a thief takes the last.
  for (std::int64_t i = others; i > 0; --i) {
    promise_base& child = promise_in(frames[i]);
    child.record = record;
    child.end = where;
    f.strands.put(others - i, &child);
  }
  f.strands.put_down(others);
  promise_base& first = promise_in(frames[0]);
  first.record = record;
  first.end = where;
  if (f.budget == 1 || f.strands.wants_publishing() || f.hungry->load(relaxed) != 0) [[unlikely]]
    return go_on(f, first);
  --f.budget;
  return first.handle();
}

/// Not inlined: its loop needs registers that a fork of two would have to save too.
HEDDLE_NOINLINE std::coroutine_handle<> start_many(fork_state& f, call_or_end where,
                                                   promise_base& waiting, void* const* frames,
                                                   std::size_t children) {
  return start_now(f, where, waiting, frames, children);
}

HEDDLE_COLD std::coroutine_handle<> start_with_care(fork_state& f, call_or_end where,
                                                    promise_base& waiting, void* const* frames,
                                                    std::size_t children) {
  if (promise_in(frames[0]).end.bits() != 0)
    throw_usage("co_await of a fork_join that was awaited before: its children run once");
  if ((waiting.enclosing().state().peek() & (word::must | word::troubled)) != 0 &&
      join_block::take_what_is_due(waiting)) {
    // The children were awaited, although they never run. So no report says that they were not.
    static constinit frame_end not_run{nullptr, nullptr};
    for (std::size_t i = 0; i < children; ++i) {
      auto& child = promise_in(frames[i]);
      child.end.ends_by(not_run);
      child.record = 0;  // no unawaited_tag
    }
    throw_cancelled(waiting.enclosing());
  }
  // Room for all children. The first goes to the deque too when the turn is over, and then nothing
  // may fail.
  f.strands.make_room(static_cast<std::int64_t>(children));
  return start_now(f, where, waiting, frames, children);
}

}  // namespace

std::coroutine_handle<> join_block::start(call_or_end where, promise_base& waiting,
                                          void* const* frames, std::size_t children) {
  fork_state& f = forks_here();
  const auto due = waiting.enclosing().state().peek() & (word::must | word::troubled);
  const auto begun = promise_in(frames[0]).end.bits();
  if ((due | begun) != 0 || !f.strands.has_room(static_cast<std::int64_t>(children))) [[unlikely]]
    return start_with_care(f, where, waiting, frames, children);
  if (children == 2) [[likely]]  // by far the most forks: the compiler needs no loop
    return start_now(f, where, waiting, frames, 2);
  return start_many(f, where, waiting, frames, children);
}

std::coroutine_handle<> join_block::child_ended(promise_base& child) noexcept {
  const call_or_end own = child.end;  // read once: that it does not change the compiler cannot know
  auto& j = static_cast<join_block&>(own.own());
  if ((child.record & promise_base::strand_tag) == 0 || is_counted(child)) [[unlikely]]
    return child_ended_otherwise(child);
  if (++j.inline_done == j.count) return j.resume_parent();
  promise_base* next = nullptr;
  if (forks_here().strands.pop_private(next) && next->end == own && j.sound()) [[likely]]
    return next->handle();
  return j.next_or_parent(next ? next : forks_here().strands.pop());
}

std::coroutine_handle<> join_block::child_ended_otherwise(promise_base& child) noexcept {
  join_block& j = of(child);
  const bool counted = is_counted(child);
  if ((child.record & promise_base::strand_tag) == 0) {  // the strand has taken a record of its own
    this_thread().current = &j.parent->enclosing();
    strand_records::retire(child.enclosing());
  }
  if (counted) return j.counted_one();
  if (++j.inline_done == j.count) return j.resume_parent();
  return j.next_or_parent(forks_here().strands.pop());
}

// A child with the token has ended and is counted. `next` is what its thread popped then.
std::coroutine_handle<> join_block::next_or_parent(promise_base* next) noexcept {
  fork_state& f = forks_here();
  for (; next; next = f.strands.pop()) {
    // The strand of another join: the child had suspended, and came to its end on another loop.
    if (&of(*next) != this) {
      f.strands.push(next);
      if (f.strands.wants_publishing()) f.strands.publish(false);
      break;
    }
    if (sound()) return next->handle();
    if (++inline_done == count) return resume_parent();  // skipped
  }
  const std::int32_t elsewhere = count - inline_done;
  // The token is spent. pairs with counted_one()
  return pending.fetch_add(elsewhere, acq_rel) == -elsewhere ? resume_parent()
                                                             : std::noop_coroutine();
}

std::coroutine_handle<> join_block::resume_parent() noexcept {
  promise_base& p = *parent;
  if ((p.record & promise_base::strand_tag) == 0 && p.enclosing().is_pinned()) [[unlikely]]
    return resume_parent_at_home();
  return p.handle();
}

// The parent is a pinned task's own body, or a strand of one with a record.
std::coroutine_handle<> join_block::resume_parent_at_home() noexcept {
  promise_base& p = *parent;
  task_record& t = p.enclosing();
  if (t.home() == self_of_thread.loop) return p.handle();
  t.resumes_at(p.handle().address());
  schedule(t);
  return std::noop_coroutine();
}

std::coroutine_handle<> join_block::start_counted(promise_base& child) noexcept {
  make_counted(child);
  join_block& j = of(child);
  this_thread().current = &child.enclosing();
  if (!j.sound() && !j.on_demand) return j.counted_one();
  return child.handle();
}

void join_block::check_due(promise_base& waiting) {
  if ((waiting.enclosing().state().peek() & (word::must | word::troubled)) != 0 &&
      take_what_is_due(waiting))
    throw_cancelled(waiting.enclosing());
}

bool join_block::take_what_is_due(promise_base& p) {
  if (p.record & promise_base::strand_tag) {
    p.promote();
  } else if (p.enclosing().state().peek() & word::troubled) {
    p.enclosing().state().end_all_trouble();  // more joins had failed at once than can be counted
  }
  return p.enclosing().state().take_cancel();
}

namespace {
/// The join of a strand without a record, found from any of its frames.
join_block& join_above(promise_base& p) noexcept {
  promise_base* frame = &p;
  while (frame->end.is_call()) frame = &promise_base::of(frame->continuation);
  return join_block::of(*frame);
}
bool has_record(const promise_base& p) noexcept {
  return (p.record & promise_base::strand_tag) == 0;
}
}  // namespace

// The walk reads the parents up to the next record. They are suspended meanwhile, since the strand
// that asks runs, or waits, below them.
bool join_block::is_lost() noexcept {
  join_block* j = this;
  while (j->sound()) {
    if (has_record(*j->parent)) return false;
    j = &join_above(*j->parent);
  }
  for (join_block* k = this; k != j; k = &join_above(*k->parent)) {
    auto expected = join_state::sound;
    // pairs with child_failed(): of failed and abandoned, the first stays
    (void)k->state.compare_exchange_strong(expected, join_state::abandoned, acq_rel, relaxed);
  }
  return true;
}

bool strand_abandoned(promise_base& first) noexcept { return join_block::of(first).is_lost(); }

void join_block::fail() noexcept {
  auto expected = join_state::sound;
  // pairs with is_lost(), and with the same of other children
  if (!state.compare_exchange_strong(expected, join_state::failed, acq_rel, relaxed)) return;
  task_record& around = parent->enclosing();
  // No strand below has a record, so none is to be cancelled. A strand that is listed later sees
  // the trouble itself: listing and trouble change the same word.
  if ((around.state().add_trouble() & word::strands) == 0) return;
  work_list todo;
  strand_records::cancel_abandoned(
      around, todo, [](void* join) { return static_cast<join_block*>(join)->is_lost(); });
  todo.settle();
}

void join_block::over() noexcept {
  auto& word = parent->enclosing().state();
  if (has_record(*parent))
    word.end_all_trouble();
  else if (state.load(relaxed) == join_state::failed)
    word.end_trouble();
}

}  // namespace heddle::detail
