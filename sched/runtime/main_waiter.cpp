// SPDX-License-Identifier: MIT
#include <heddle/core/checked.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/runtime/runtime_state.h>

namespace heddle::detail {

void main_waiter::fired(join_node& node, eventual&, work_list&) noexcept {
  auto& self = static_cast<main_waiter&>(node);
  auto& s = *self.state_;
  runtime_state::guest inside(s);
  self.ended_.store(true, release);  // pairs with wait_until(); the waiter may be gone from here on
  s.wake_waiters();
}

void main_waiter::wait(eventual& target, const interrupt_watch& interrupts) {
  const runtime_state::run_wait until{ended_, told_, stops_};
  if (target.add_joiner(*this)) {
    // Nobody touches this object after it is removed, since firing and removing take the same lock.
    try {
      unsigned seen = 0;
      const auto look = [&] {
        const unsigned came = interrupts.count();
        if (came == seen) return;
        if (std::exchange(seen, came) == 0) interrupted_ = cancel_now(target);
        if (came > 1) state_->fatal(std::make_exception_ptr(interrupted_error()));
      };
      if (interrupts.armed())
        state_->wait_interruptibly(until, look);
      else
        state_->wait_until(until);
      state_->let_pass_end(until);
    } catch (...) {  // a simulated program is stuck
      (void)target.remove_joiner(*this);
      throw;
    }
    (void)target.remove_joiner(*this);
  }
  if (auto fatal = state_->fatal_since(told_)) std::rethrow_exception(fatal);
  if (!target.done())
    throw_usage(
        "stop() was called before what run waits for had ended: it is pending, and goes on "
        "with the next run");
}

main_waiter::main_waiter(runtime_state& s)
    : join_node(&fired), state_(&s), told_(s.fatals_told()), stops_(s.begin_run()) {}
main_waiter::~main_waiter() { state_->end_run(); }

}  // namespace heddle::detail
