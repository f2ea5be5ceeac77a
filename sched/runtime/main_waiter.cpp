// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/main_waiter.h>

#include <heddle/core/errors.h>
#include <heddle/core/seeing/layout.h>

#include <cstddef>
#include <exception>
#include <utility>

namespace heddle::detail {

main_waiter::main_waiter(runtime_state& s)
    : join_node(&fired), state_(&s), told_(s.fatal.told()), stops_(s.standstill.begin_run()) {}
main_waiter::~main_waiter() { state_->standstill.end_run(); }

void main_waiter::fired(join_node& node, eventual&, work_list&) noexcept {
  auto& self = static_cast<main_waiter&>(node);
  auto& s = *self.state_;
  loop_group::guest inside(s);
  self.ended_.store(true, release);  // pairs with is_over(); the waiter may be gone from here on
  s.waits.wake_all();
}

void main_waiter::wait_for(eventual& target, const interrupt_watch& interrupts) {
  auto& stand = state_->standstill;
  const run_wait until{ended_, told_, stops_};
  unsigned seen = 0;
  const auto look = [&] {
    const unsigned came = interrupts.count();
    if (came == seen) return;
    if (std::exchange(seen, came) == 0) interrupted_ = cancel_now(target);
    if (came > 1) state_->fatal.came(std::make_exception_ptr(interrupted_error()));
  };
  if (interrupts.armed())
    stand.wait_interruptibly(until, look);
  else
    stand.wait_until(until);
  stand.let_pass_end(until);
}

void main_waiter::wait(eventual& target, const interrupt_watch& interrupts) {
  if (target.add_joiner(*this)) {
    // No thread touches this object after it is removed: firing and removing take the same lock.
    try {
      wait_for(target, interrupts);
    } catch (...) {  // a simulated program is stuck
      (void)target.remove_joiner(*this);
      throw;
    }
    (void)target.remove_joiner(*this);
  }
  if (auto fatal = state_->fatal.since(told_)) std::rethrow_exception(fatal);
  if (!target.done())
    throw_usage(
        "stop() was called before what run waits for had ended: it is pending, and goes on "
        "with the next run");
}

// A reader knows by this function which of a task's joiners is a thread in run.
template <>
struct layout_of<main_waiter> {
  static constexpr join_node::fire_function fires = &main_waiter::fired;
};

namespace {
HEDDLE_ROW("heddle_roots")
constexpr seeing::root_row run_joins_root{"run_joins", &layout_of<main_waiter>::fires};
HEDDLE_ROW("heddle_fields")
constexpr seeing::field_row join_node_rows[] = {
    {"join_node.next", offsetof(join_node, next), sizeof(join_node*)},
    {"join_node.fire", offsetof(join_node, fire), sizeof(join_node::fire_function)},
};
}  // namespace

}  // namespace heddle::detail
