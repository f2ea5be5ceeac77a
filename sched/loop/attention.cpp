// SPDX-License-Identifier: MIT
// What a loop does besides running: debug mode times steps and callbacks, and a trace records them
// and what is rare. It stands here to be out of the way.
#include <heddle/core/base/thread_state.h>
#include <heddle/sched/loop/group.h>
#include <heddle/sched/loop/worker.h>

namespace heddle::detail {

void worker::attend(std::uint8_t what, bool on) noexcept {
  auto before = attention_.load(relaxed);
  std::uint8_t after = 0;
  do {
    const auto reasons = static_cast<std::uint8_t>(before & (attend_slow | attend_recording));
    after = static_cast<std::uint8_t>(on ? reasons | what : reasons & ~what);
    if (after != 0) after = static_cast<std::uint8_t>(after | attended);
  } while (!attention_.compare_exchange_weak(before, after, relaxed, relaxed));
}

void worker::born(task_record& t) noexcept {
  trace_.born(t, self_of_thread.current, created_.load(relaxed));
}

void worker::look_at_recording(time_point t) noexcept { attend(attend_recording, trace_.look(t)); }

void worker::record_sleep(duration took, time_point t, unsigned events) noexcept {
  trace_.note(trace_event::parked,
              seeing::count_and_time(events, static_cast<std::uint64_t>(took.count())));
  if (trace_.has_to_look()) [[unlikely]]
    look_at_recording(t);
}

void worker::expire_timers(time_point t) noexcept {
  if (const unsigned fired = timers_.expire(t)) trace_.note(trace_event::timers_fired, fired);
}

void worker::resume_attended(task_record& t) {
  const auto function = trace_.step_begins(t, t.frame(), trace_event::step_begins, last_poll_);
  if (is_watched())
    resume_watched(t);
  else
    std::coroutine_handle<>::from_address(t.frame()).resume();
  if (function != 0) trace_.step_ends(function);
}

// Debug mode does not time it: it is a part of its creator's step.
void worker::run_recorded(task_record& t) {
  std::uintptr_t function = 0;
  if (attends(t)) [[unlikely]]
    function = trace_.step_begins(t, t.frame(), trace_event::step_begins, last_poll_);
  std::coroutine_handle<>::from_address(t.frame()).resume();
  if (function != 0) trace_.step_ends(function);
}

void worker::run_attended(callback& c) {
  struct recording {
    explicit recording(loop_trace* t, callback& c) noexcept : trace(t) {
      if (trace) trace->callback_begins(c);
    }
    recording(const recording&) = delete;
    ~recording() {
      if (trace) trace->callback_ends();
    }
    loop_trace* trace;
  };
  const bool wanted = (attention_.load(relaxed) & attend_recording) != 0;
  const recording its_time(wanted ? &trace_ : nullptr, c);
  if (is_watched())
    run_watched(c);
  else
    c.run();
}

void worker::resume_watched(task_record& t) {
  auto& root = t.root();
  root.ref();
  const counted_ptr<task_record> kept(&root);  // for the report
  const auto began = now();
  std::coroutine_handle<>::from_address(t.frame()).resume();
  const auto took = now() - began;
  if (took > group_->slow_after) group_->step_was_slow(root, took);
}

void worker::run_watched(callback& c) {
  c.ref();
  const callback_handle kept(&c);  // for the report
  const auto began = now();
  c.run();
  const auto took = now() - began;
  if (took > group_->slow_after) group_->callback_was_slow(c, took);
}

}  // namespace heddle::detail
