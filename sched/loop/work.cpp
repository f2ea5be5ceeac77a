// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/work.h>
#include <heddle/sched/loop/worker.h>
#include <heddle/sched/runtime/runtime_state.h>

#include <mutex>

namespace heddle::detail {

// What was captured may own the handle that we are called through, so a reference is held until it
// is released.
bool callback::cancel() noexcept {
  if (cancel_timer()) {
    release();
    unref();
    return true;
  }
  auto expected = state::queued;
  if (!state_.compare_exchange_strong(expected, state::cancelled, acq_rel,
                                      acquire))  // pairs with run()
    return expected == state::cancelled;
  if (!disarm()) ref();
  release();
  unref();
  return true;
}

void callback::drop() noexcept {
  auto expected = state::queued;
  if (state_.compare_exchange_strong(expected, state::cancelled, acq_rel, relaxed)) release();
  unref();
}

void callback::run() {
  auto expected = state::queued;
  if (!state_.compare_exchange_strong(expected, state::running, acq_rel, relaxed))
    return;  // pairs with cancel()
  struct at_end {
    callback& self;
    ~at_end() {
      self.state_.store(state::done, relaxed);
      self.release();
    }
  } end{*this};
  invoke();
}

void timed_callback::arm(worker& w, time_point when) {
  worker_ = &w;
  runtime_ = w.state().serial;
  if (this_worker() == &w) {
    const std::lock_guard hold(w.own_timers());
    (void)arm_locked(w, when);
    return;
  }
  const runtime_state::guest inside(w.state());
  {
    const std::lock_guard hold(w.own_timers());
    if (!arm_locked(w, when)) return;
    w.own_timers().announce();
  }
  w.timer_moved_up();
}

bool timed_callback::arm_locked(worker& w, time_point when) {
  const bool first = w.own_timers().arm(*this, when);
  armed_.store(true, relaxed);
  ref_alone();
  return first;
}

void timed_callback::fired(timer_node& node, work_list&) noexcept {
  auto& self = static_cast<timed_callback&>(node);
  // Pairs with cancel_timer(), which leaves the worker alone from here on.
  self.armed_.store(false, detail::release);
  self.worker_->deliver(work(self));
}

// A handle may outlive its runtime. A runtime fires all its timers before it goes: so a callback
// that is still armed while the canceller is the guest of its runtime stands in the timers of a
// living loop.
bool timed_callback::cancel_timer() noexcept {
  if (!armed_.load(acquire)) return false;  // pairs with fired() and cancel_armed()
  if (const worker* here = this_worker(); here && here->state().serial == runtime_) [[likely]]
    return cancel_armed();
  struct question {
    timed_callback& self;
    bool cancelled = false;
  } q{*this};
  (void)with_runtime(
      runtime_,
      [](runtime_state&, void* argument) {
        auto& q = *static_cast<question*>(argument);
        if (!q.self.armed_.load(acquire)) return;  // pairs with fired()
        q.cancelled = q.self.cancel_armed();
      },
      &q);
  return q.cancelled;
}

// Who comes second finds it disarmed, and by the lock or by armed_ that it is cancelled.
bool timed_callback::cancel_armed() noexcept {
  auto& timers = worker_->own_timers();
  const std::lock_guard hold(timers);
  if (!timers.disarm(*this)) return false;
  cancelled_alone();
  armed_.store(false, detail::release);  // pairs with cancel_timer()
  return true;
}

}  // namespace heddle::detail
