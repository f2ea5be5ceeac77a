// SPDX-License-Identifier: MIT
#include <heddle/sched/timeout.h>

#include <heddle/sched/worker.h>

namespace heddle {

using detail::timers;
using detail::work_list;

// The word counts requests; who asked does not matter to it. So a scope remembers the count at its entry: when it leaves after it fired and,
// with its own request taken back, the count is not above that, then its request was the only one and the cancellation was its own.
// A cancellation that was pending at the entry came from outside and shall get out, so it is not in that count.
void timeout_scope::enter(detail::task_record& t) {
  task_ = &t;
  requests_at_entry_ = t.state().requests_delivered();
  if (deadline_) arm(*deadline_);
}

void timeout_scope::arm(time_point deadline) {
  if (deadline <= clock::now()) {  // the next suspension shall see it, however soon that is
    at_once_ = true;
    expired_.store(true, detail::release);
    (void)detail::cancel_now(*task_);
    return;
  }
  timers& wheel = detail::timers_of_this_loop();
  armed_in = &wheel;
  wheel.lock();
  wheel.arm(*this, deadline);
  wheel.unlock();
}

void timeout_scope::disarm() noexcept {
  if (!armed_in) return;
  timers& wheel = *armed_in;
  wheel.lock();
  (void)wheel.disarm(*this);
  wheel.unlock();
}

bool timeout_scope::leave() noexcept {
  disarm();
  left_ = true;
  if (!expired()) return false;
  // Past from the start and left without a suspension: nothing was interrupted, so nothing expired.
  if (at_once_ && (task_->state().load() & detail::word::must))
    expired_.store(false, detail::release);
  return task_->state().uncancel(requests_at_entry_) <= requests_at_entry_;
}

void timeout_scope::reschedule(std::optional<time_point> deadline) {
  if (!task_) throw usage_error("timeout_scope::reschedule before the block was entered");
  if (left_) throw usage_error("timeout_scope::reschedule after the block was left");
  disarm();
  if (expired()) throw usage_error("timeout_scope::reschedule after the deadline expired");
  deadline_ = deadline;
  if (deadline_) arm(*deadline_);
}

void timeout_scope::fired(detail::timer_node& node, work_list& todo) noexcept {
  auto& self = static_cast<timeout_scope&>(node);
  self.expired_.store(true, detail::release);  // pairs with expired()
  (void)todo.cancel(*self.task_);
}

}  // namespace heddle
