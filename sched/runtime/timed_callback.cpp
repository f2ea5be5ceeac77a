// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/timed_callback.h>

#include <heddle/core/scheduler.h>
#include <heddle/sched/runtime/registry.h>

#include <mutex>

namespace heddle::detail {

bool timed_callback::arm(timers& in, time_point when) {
  const bool first = in.arm(*this, when);
  armed_.store(true, relaxed);
  ref_unshared();
  return first;
}

// A handle may outlive its runtime, and with it the timers. A runtime fires all its timers before
// it goes. So if a callback is still armed while the canceller is the guest of its runtime, it
// stands in the timers of a living loop.
bool timed_callback::cancel_timer() noexcept {
  if (!armed_.load(acquire)) return false;  // pairs with comes_due() and cancel_armed()
  if (current_runtime_id() == runtime_) [[likely]]
    return cancel_armed();
  struct question {
    timed_callback& self;
    bool cancelled = false;
  } q{*this};
  (void)with_loops(
      runtime_,
      [](loop_group&, void* argument) {
        auto& asked = *static_cast<question*>(argument);
        if (!asked.self.armed_.load(acquire)) return;  // pairs with comes_due()
        asked.cancelled = asked.self.cancel_armed();
      },
      &q);
  return q.cancelled;
}

// The second of two cancellers finds the timer disarmed. By the lock or by armed_ it then knows
// that the callback is cancelled.
bool timed_callback::cancel_armed() noexcept {
  timers& in = *armed_in;
  const std::lock_guard hold(in);
  if (!in.disarm(*this)) return false;
  set_cancelled_locked();
  armed_.store(false, detail::release);  // pairs with cancel_timer()
  return true;
}

}  // namespace heddle::detail
