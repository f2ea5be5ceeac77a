// SPDX-License-Identifier: MIT
#include <heddle/sched/timeout.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/seeing/layout.h>
#include <heddle/sched/loop/worker.h>
#include <heddle/sched/runtime/enclosing_deadline.h>

#include <array>
#include <mutex>

namespace heddle {

using detail::timers;
using detail::work_list;

// Whose cancellation was it? The word counts requests, and does not say what asked for them. So a
// scope keeps the count at its entry. At its end it takes its own request back. If the count is
// then not above the count at the entry, no other request came: the cancellation was the scope's
// own. A cancellation that is pending at the entry came from outside and must pass the block. So
// the count at the entry leaves it out.
//
// Protocol SCOPE
//   Danger    Blocks nest, and several blocks of one task may be due before the task runs again.
//             The task gets one cancellation for all of them. With one loop their timers fire one
//             by one. With several loops the task may run on between two of them, or a timer may
//             stand on another loop that is busy. So the wrong block could throw.
//   Promise   The block whose deadline came first throws; of equal deadlines the outer one.
//   Chain     Each block has a link to the block around it. A strand begins with the blocks of the
//             task or strand that forked it. Only the task or strand itself enters and ends a
//             block, and those around it stand still meanwhile. So the chain needs no lock.
//   Expire    A block that expires gets its number (expired_as_), sets `expired_`, and cancels the
//             task once. A timer does this under the lock of the timers, so a thread that takes
//             the lock later sees all three. The task itself does it without the lock: for a
//             deadline that is past already, and for the block that ends (expire_now).
//   End       A block that ends by a cancellation first fires what is due and has not fired. It
//             fires itself, if a block around it has expired whose deadline is no earlier. If it
//             has expired, it fires each block around it whose deadline is no later. Then it takes
//             its own request back and looks at the requests that are left.
//               All are from blocks around it with later deadlines: this block throws, and the
//               other requests are delivered at the next wait.
//               Any is from elsewhere: the cancellation passes through.
//   Cost      At an end by a cancellation, one step for each block around. No lock is common to all
//             tasks.
namespace {
constinit detail::atomic<std::uint64_t> expired_count{0};
}  // namespace

// The first step of an expiry; the cancellation comes after it.
void timeout_scope::note_expired() noexcept {
  expired_as_ = expired_count.fetch_add(1, detail::relaxed) + 1;
  // pairs with expired()
  expired_.store(true, detail::release);
}

std::uint32_t timeout_scope::expired_after_this() const noexcept {
  std::uint32_t n = 0;
  for (const auto* s = around(); s; s = s->around())
    if (s->expired() && s->expired_as_ > expired_before_entry_ && *s->deadline_ > *deadline_) ++n;
  return n;
}

void timeout_scope::enter(detail::task_record& t) {
  auto* const known = t.extra_if_any();  // nearly always: what a task holds goes with its record
  auto& extra = known ? *known : t.extra();
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

// The deadline is past already. Even the next suspension shall see that, so no timer is armed.
void timeout_scope::expire_at_once() noexcept {
  at_once_ = true;
  expire_now();
}

void timeout_scope::expire_now() noexcept {
  note_expired();
  (void)detail::cancel_now(*task_);
}

// Expires the block in place of its timer, and like the timer under the lock of the timers. So a
// thread that takes the lock later sees the block armed or expired, never neither.
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
  timers& heap = detail::timers_of_this_loop();
  armed_in = &heap;
  std::lock_guard hold(heap);
  heap.arm(*this, deadline);
}

bool timeout_scope::disarm() noexcept {
  if (!armed_in) return false;
  timers& heap = *armed_in;
  heap.lock();
  const bool was_armed = heap.disarm(*this);
  heap.unlock();
  return was_armed;
}

// Protocol SCOPE: End.
void timeout_scope::bring_about_what_is_due(bool was_armed) noexcept {
  if (was_armed) {
    for (auto* s = around(); s && !expired(); s = s->around())
      if (s->expired() && *s->deadline_ >= *deadline_) expire_now();
  }
  if (!expired()) return;
  for (auto* s = around(); s; s = s->around())
    if (s->deadline_ && *s->deadline_ <= *deadline_) s->expire_if_armed();
}

bool timeout_scope::exit(bool cancelled) noexcept {
  if (left_) return false;
  const bool was_armed = disarm();
  left_ = true;
  task_->extra_if_any()->innermost = outer;
  if (cancelled) bring_about_what_is_due(was_armed);
  if (!expired()) return false;
  // The deadline was past from the start, and the block ended without a suspension. Nothing was
  // interrupted, so the block does not count as expired.
  if (at_once_ && (task_->state().load() & detail::word::must))
    // pairs with expired()
    expired_.store(false, detail::release);
  const auto left = task_->state().uncancel(requests_at_entry_);
  if (left <= requests_at_entry_) return true;
  if (left - requests_at_entry_ > expired_after_this()) {
    // The cancellation that passes through also delivers the requests that came during this call.
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

namespace heddle::detail {

std::optional<time_point> enclosing_deadline() noexcept {
  auto* t = this_thread().current;
  auto* const extra = t ? t->extra_if_any() : nullptr;
  std::optional<time_point> first;
  for (auto* at = extra ? extra->innermost : nullptr; at; at = at->outer) {
    // Each link is a scope. Its base is private, which only a cast of this form passes over.
    const auto end = ((timeout_scope*)at)->when();  // NOLINT(google-readability-casting)
    if (end && (!first || *end < *first)) first = end;
  }
  return first;
}

template <>
struct layout_of<timeout_scope> {
  static constexpr seeing::field_row rows[] = {
      // The two bases of a scope stand one behind the other.
      {"scope.link", sizeof(timer_node), sizeof(scope_link)},
      {"scope_link.outer", offsetof(scope_link, outer), sizeof(void*)},
  };
};

namespace {
HEDDLE_ROW("heddle_fields")
constexpr auto timeout_fields = std::to_array(layout_of<timeout_scope>::rows);
}  // namespace

}  // namespace heddle::detail
