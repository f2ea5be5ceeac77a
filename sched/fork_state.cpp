// SPDX-License-Identifier: MIT
#include <heddle/sched/fork_state.h>

#include <heddle/core/executor_hooks.h>

#include <algorithm>

namespace heddle::detail {

template class deque<promise_base*>;

void fork_state::adapt(duration took) noexcept {
  const auto fit = std::int64_t{per_turn} * turn.count() / std::max(took.count(), std::int64_t{1});
  const auto most = std::min(2 * std::int64_t{per_turn}, std::int64_t{most_per_turn});
  budget = per_turn = static_cast<std::uint32_t>(std::clamp(fit, std::int64_t{1}, most));
}

std::coroutine_handle<> join_block::child_ended(promise_base& child) noexcept {
  join_block& j = of(child);
  const bool counted = is_counted(child);
  if ((child.record & promise_base::strand_tag) == 0)
      [[unlikely]] {  // it had to take a record of its own
    this_thread().current = &j.parent->enclosing();
    child.enclosing().retire_strand();
  }
  if (counted) return j.counted_one();
  if (++j.inline_done == j.count) [[likely]]
    return j.resume_parent();
  fork_state& f = *this_fork_state();
  while (promise_base* next = f.pop()) {
    if (next->end !=
        &j) {  // a stranger's: this child suspended and came to its end on another loop
      f.strands.push(next);
      break;
    }
    if (!j.failed.load(relaxed)) [[likely]]
      return next->handle();
    if (++j.inline_done == j.count) return j.resume_parent();  // skipped
  }
  const std::int32_t elsewhere = j.count - j.inline_done;
  return j.pending.fetch_add(elsewhere, acq_rel) == -elsewhere ? j.resume_parent()
                                                               : std::noop_coroutine();
}

std::coroutine_handle<> join_block::resume_parent() noexcept {
  promise_base& p = *parent;
  if ((p.record & promise_base::strand_tag) ==
      0) {  // the task's own body, or a strand with a record
    task_record& t = p.enclosing();
    if (t.is_pinned() && t.home() != this_thread().loop) [[unlikely]] {
      t.resumes_at(p.handle().address());
      schedule(t);
      return std::noop_coroutine();
    }
  }
  return p.handle();
}

std::coroutine_handle<> join_block::start_counted(promise_base& child) noexcept {
  make_counted(child);
  join_block& j = of(child);
  this_thread().current = &child.enclosing();
  if (j.failed.load(relaxed)) return j.counted_one();
  return child.handle();
}

bool join_block::abandoned(promise_base& p) noexcept {
  promise_base* frame = &p;
  for (;;) {
    while (!frame->end) frame = &promise_base::of(frame->continuation);
    if (frame->end->ended != &child_ended) return false;  // the task's root
    join_block& j = of(*frame);
    if (j.failed.load(relaxed)) return true;
    frame = j.parent;
  }
}

bool strand_abandoned(promise_base& first) noexcept { return join_block::abandoned(first); }

void join_block::child_failed(promise_base& child) noexcept {
  join_block& j = of(child);
  if (j.failed.exchange(true, acq_rel)) return;
  task_record& root = child.enclosing().root();
  if ((root.state().set_flag(word::troubled) & word::strands) == 0)
    return;  // who is listed after that sees `troubled` then (protocol STRAND)
  // Strands of this join that wait in a record of their own are cancelled; those that compute see `troubled` at their next fork.
  work_list todo;
  root.cancel_strands_if(todo, [&](void* join) {
    auto* at = static_cast<join_block*>(join);
    for (;;) {
      if (at == &j) return true;
      promise_base* frame = at->parent;
      while (!frame->end) frame = &promise_base::of(frame->continuation);
      if (frame->end->ended != &child_ended) return false;
      at = &of(*frame);
    }
  });
  todo.settle();
}

}  // namespace heddle::detail
