// SPDX-License-Identifier: MIT
#include <heddle/sched/fork_join.h>

#include <heddle/sched/runtime_state.h>

namespace heddle::detail {

void check_fork(promise_base& p) {
  task_record& t = p.enclosing();
  if (t.state().take_cancel()) throw_cancelled(t);
  if (join_block::abandoned(p)) throw cancelled_error();
}

void wake_thief() noexcept {
  auto* s = this_runtime();
  if (!s || !s->idle.wants_waking()) return;
  const unsigned sleeper = s->idle.take_for_search();
  if (sleeper != idle_set::nobody) s->workers[sleeper]->wake();
}

std::coroutine_handle<> fork_join_base::end_turn(fork_state& f, promise_base& first) noexcept {
  // All children go through the deque, counted; the loop looks at timers and I/O and then pops the first.
  f.budget = f.per_turn;
  f.turn_over = true;
  join_.pending.fetch_add(
      join_.count,
      relaxed);            // siblings may have been stolen, and may have ended; the first has not
  f.strands.push(&first);  // from here on the parent may be resumed elsewhere
  return std::noop_coroutine();
}

void join_errors::see(const std::exception_ptr& e) noexcept {
  auto& first = is_cancellation(e) ? first_cancelled_ : first_;
  if (!first) first = e;
}

void join_errors::raise(promise_base& parent) {
  if (first_) std::rethrow_exception(std::move(first_));
  (void)parent.enclosing()
      .state()
      .take_cancel();  // it was delivered: to the children, and now here
  std::rethrow_exception(std::move(first_cancelled_));
}

}  // namespace heddle::detail
