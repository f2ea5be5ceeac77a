// SPDX-License-Identifier: MIT
#include <heddle/sched/timeout.h>

#include <heddle/sched/worker.h>

#include <mutex>

namespace heddle {

using detail::timers;
using detail::work_list;

// The word counts requests; who asked does not matter to it. So a scope remembers the count at its entry: when it leaves after it fired and,
// with its own request taken back, the count is not above that, then its request was the only one and the cancellation was its own.
// A cancellation that was pending at the entry came from outside and shall get out, so it is not in that count.
//
// Protocol EXPIRED. A loop that was busy may expire several scopes of one task before that runs again, and it gets one cancellation for
// all. The scope whose deadline came first is the one that was interrupted: an inner one ends with its timeout_error, and the request of
// an outer one is delivered at the next wait; an outer one first ends both. So scopes are listed from their expiry to their end.
namespace {
constinit detail::spin_lock expired_lock;
constinit timeout_scope* expired_head = nullptr;           // under the lock
constinit detail::atomic<std::uint64_t> expired_count{0};  // written under the lock
}  // namespace

void detail::scope_access::hold_expired() noexcept { expired_lock.lock(); }
void detail::scope_access::let_go_expired() noexcept { expired_lock.unlock(); }

// Called by whoever expires it, before the cancellation.
void timeout_scope::note_expired() noexcept {
  expired_lock.lock();
  expired_as_ = expired_count.load(detail::relaxed) + 1;
  expired_count.store(expired_as_, detail::relaxed);
  next_expired_ = expired_head;
  expired_head = this;
  expired_lock.unlock();
  expired_.store(true, detail::release);  // pairs with expired()
}

std::uint32_t timeout_scope::expired_after_this() const noexcept {
  std::uint32_t n = 0;
  expired_lock.lock();
  for (auto* s = expired_head; s; s = s->next_expired_)
    if (s != this && s->task_ == task_ && s->expired_as_ > expired_before_entry_ &&
        *s->deadline_ > *deadline_)
      ++n;
  expired_lock.unlock();
  return n;
}

void timeout_scope::enter(detail::task_record& t) {
  task_ = &t;
  expired_before_entry_ = expired_count.load(detail::relaxed);
  requests_at_entry_ = t.state().requests_delivered();
  if (!deadline_) return;
  if (!from_entry_) return arm(*deadline_);
  const auto lasts = deadline_->time_since_epoch();
  deadline_ = saturating_add(clock::now(), lasts);
  if (lasts > duration::zero())
    arm_ahead(*deadline_);
  else
    expire_at_once();
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
  note_expired();
  (void)detail::cancel_now(*task_);
}

void timeout_scope::arm_ahead(time_point deadline) {
  timers& wheel = detail::timers_of_this_loop();
  armed_in = &wheel;
  std::lock_guard hold(wheel);
  wheel.arm(*this, deadline);
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
  expired_lock.lock();
  auto** place = &expired_head;
  while (*place != this) place = &(*place)->next_expired_;
  *place = next_expired_;
  expired_lock.unlock();
  const auto left = task_->state().uncancel(requests_at_entry_);
  if (left <= requests_at_entry_) return true;
  if (left - requests_at_entry_ > expired_after_this()) return false;
  task_->state().set_must();
  return true;
}

void timeout_scope::reschedule(std::optional<time_point> deadline) {
  if (!task_) detail::throw_usage("timeout_scope::reschedule before the block was entered");
  if (left_) detail::throw_usage("timeout_scope::reschedule after the block was left");
  disarm();
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
