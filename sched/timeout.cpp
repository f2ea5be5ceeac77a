// SPDX-License-Identifier: MIT
#include <heddle/sched/timeout.h>

#include <heddle/sched/loop/worker.h>

#include <mutex>

namespace heddle {

using detail::timers;
using detail::work_list;

// The word counts requests; who asked does not matter to it. So a scope remembers the count at its
// entry: when it leaves after it fired and, with its own request taken back, the count is not above
// that, then its request was the only one and the cancellation was its own. A cancellation that was
// pending at the entry came from outside and shall get out, so it is not in that count.
//
// Protocol SCOPE. Blocks nest, and several of a task may be due before the task runs again: on one
// loop timers fire one by one, and with several loops the task may run on between two of them, or
// the timers of one stand on another loop that is busy. The task gets one cancellation for all.
// Then the block whose deadline came first shall throw, and of equal ones the outer.
//   chain each block knows the one around it. A strand begins with the blocks of what it was forked
//   by. Only the task or strand itself
//            enters and leaves, and what is around it stands still meanwhile, so the chain needs no
//            lock.
//   expire under the timers' lock: count (expired_as_), `expired`, one cancellation. Whoever takes
//   the lock afterwards sees all three.
//   leave by a cancellation: what is due but has not fired is fired now, by the one that leaves:
//   the blocks around that are due no
//            later than an expired one inside; and the block itself, if one around it has expired
//            that was due no earlier. Then the own request is taken back. If what is left came from
//            blocks around that are due later, this one throws, and the other requests are
//            delivered at the next wait; if from others, the cancellation passes through.
// Cost of a leave by a cancellation: a step for each block around. No lock is common to all tasks.
namespace {
constinit detail::atomic<std::uint64_t> expired_count{0};
}  // namespace

// Called by whoever expires it, before the cancellation.
void timeout_scope::note_expired() noexcept {
  expired_as_ = expired_count.fetch_add(1, detail::relaxed) + 1;
  expired_.store(true, detail::release);  // pairs with expired()
}

std::uint32_t timeout_scope::expired_after_this() const noexcept {
  std::uint32_t n = 0;
  for (const auto* s = around(); s; s = s->around())
    if (s->expired() && s->expired_as_ > expired_before_entry_ && *s->deadline_ > *deadline_) ++n;
  return n;
}

void timeout_scope::enter(detail::task_record& t) {
  auto& extra = t.extra();
  task_ = &t;
  expired_before_entry_ = expired_count.load(detail::relaxed);
  requests_at_entry_ = t.state().requests_delivered();
  if (deadline_ && from_entry_) {
    const auto lasts = deadline_->time_since_epoch();
    deadline_ = saturating_add(clock::now(), lasts);
    if (lasts > duration::zero())
      arm_ahead(*deadline_);
    else
      expire_at_once();
  } else if (deadline_) {
    arm(*deadline_);
  }
  outer = extra.innermost;  // last, since arming may throw
  extra.innermost = this;
}

void timeout_scope::arm(time_point deadline) {
  if (deadline <= clock::now())
    expire_at_once();
  else
    arm_ahead(deadline);
}

// The next suspension shall see it, however soon that is.
void timeout_scope::expire_at_once() noexcept {
  at_once_ = true;
  expire_now();
}

void timeout_scope::expire_now() noexcept {
  note_expired();
  (void)detail::cancel_now(*task_);
}

// In place of its timer, and as that does it under the timers' lock: whoever takes the lock
// afterwards sees a block that has expired, and never one that is neither armed nor expired.
void timeout_scope::expire_if_armed() noexcept {
  if (!armed_in) return;
  work_list todo;
  {
    std::lock_guard hold(*armed_in);
    if (armed_in->disarm(*this)) fired(*this, todo);
  }
  todo.settle();
}

void timeout_scope::arm_ahead(time_point deadline) {
  timers& wheel = detail::timers_of_this_loop();
  armed_in = &wheel;
  std::lock_guard hold(wheel);
  wheel.arm(*this, deadline);
}

bool timeout_scope::disarm() noexcept {
  if (!armed_in) return false;
  timers& wheel = *armed_in;
  wheel.lock();
  const bool was_armed = wheel.disarm(*this);
  wheel.unlock();
  return was_armed;
}

// Protocol SCOPE: leave.
void timeout_scope::bring_about_what_is_due(bool was_armed) noexcept {
  if (was_armed) {
    for (auto* s = around(); s && !expired(); s = s->around())
      if (s->expired() && *s->deadline_ >= *deadline_) expire_now();
  }
  if (!expired()) return;
  for (auto* s = around(); s; s = s->around())
    if (s->deadline_ && *s->deadline_ <= *deadline_) s->expire_if_armed();
}

bool timeout_scope::leave(bool cancelled) noexcept {
  if (left_) return false;
  const bool was_armed = disarm();
  left_ = true;
  task_->extra_if_any()->innermost = outer;
  if (cancelled) bring_about_what_is_due(was_armed);
  if (!expired()) return false;
  // Past from the start and left without a suspension: nothing was interrupted, so nothing expired.
  if (at_once_ && (task_->state().load() & detail::word::must))
    expired_.store(false, detail::release);
  const auto left = task_->state().uncancel(requests_at_entry_);
  if (left <= requests_at_entry_) return true;
  if (left - requests_at_entry_ > expired_after_this()) {
    // The cancellation that passes through delivers the requests that came while the block was
    // left.
    if (cancelled) (void)task_->state().take_cancel();
    return false;
  }
  task_->state().set_must();
  return true;
}

void timeout_scope::reschedule(std::optional<time_point> deadline) {
  if (!task_) detail::throw_usage("timeout_scope::reschedule before the block was entered");
  if (left_) detail::throw_usage("timeout_scope::reschedule after the block was left");
  (void)disarm();
  if (expired()) detail::throw_usage("timeout_scope::reschedule after the deadline expired");
  deadline_ = deadline;
  if (deadline_) arm(*deadline_);
}

void timeout_scope::fired(detail::timer_node& node, work_list& todo) noexcept {
  auto& self = static_cast<timeout_scope&>(node);
  self.note_expired();
  (void)todo.cancel(*self.task_);
}

}  // namespace heddle
