// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/join_errors.h>

#include <heddle/core/errors.h>

#include <limits>
#include <string>

namespace heddle::detail {

void join_errors::see(const std::exception_ptr& e) noexcept {
  auto& first = is_cancellation(e) ? first_cancelled_ : first_;
  if (!first) first = e;
}

// Children and parent are cancelled together. If a child's cancellation is thrown here, it delivers
// the one that is due to the parent too. So that one is taken.
void join_errors::raise(join_block& join) {
  join.over();
  if (first_) std::rethrow_exception(std::move(first_));
  promise_base& parent = *join.parent;
  if (parent.enclosing().state().peek() & (word::must | word::interrupted | word::troubled)) {
    try {
      (void)join_block::take_what_is_due(parent);
    } catch (const std::bad_alloc&) {
    }  // no memory: it is delivered again, at the parent's next fork or wait
  }
  if (!first_cancelled_)
    throw_cancelled(parent.enclosing());  // an abandoned join whose children all ended well
  std::rethrow_exception(std::move(first_cancelled_));
}

void throw_fork_of_empty_task() {
  throw_usage("fork_join of an empty task: it was moved from, awaited, or never made");
}
void throw_fork_of_awaited_task() {
  throw_usage("fork_join of a task that was awaited before: a task runs once");
}
void throw_range_awaited_again() {
  throw_usage("co_await of a fork_join that was awaited before: its children run once");
}
void throw_too_many_children(std::size_t children) {
  throw bad_value("fork_join of " + std::to_string(children) + " children: at most " +
                  std::to_string(std::numeric_limits<std::int32_t>::max()));
}
void throw_no_room_for_results(std::size_t children, std::size_t places) {
  throw bad_value("fork_join of " + std::to_string(children) + " tasks into a span of " +
                  std::to_string(places) + " results");
}

}  // namespace heddle::detail
