// SPDX-License-Identifier: MIT
// Internal to sched.
// What a loop records of itself, in a ring of its own (trace_ring.h).
//
// Problem   Who looks after the fact wants to see what the loops did in the last seconds. To record
//           each step costs 30 ns of a step of 100. To record nothing tells nothing.
// Chosen    What is rare anyhow is always recorded: sleeps, wake-ups, thefts, I/O, timers, jobs.
//           Steps are recorded of some tasks only: of one in `rate` that are created, and of all
//           that such a task creates. So what is recorded of a task is whole, from its birth to
//           its end, and so are the ways from task to task.
// Bounds    A recorded task may do nothing but yield. So a loop looks at the clock each time that
//           it has recorded `events_a_check` steps. If these took more than 1 % of the time, then
//           the rate is halved, and steps are not recorded until the share is 1 % again. Such a gap
//           is an event too. The rate is also halved if the ring would not reach back some 10 s,
//           unless HEDDLE_TRACE gives a rate.
// All       A tool may ask for every step, for a while: trace_root::all_until. Then there are no
//           gaps.
// Cost      A step that is not recorded: one instruction, since the mark of a recorded task and the
//           loop's own marks are tested at once (worker::resume). A task that is created: two.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/sched/loop/trace_ring.h>

#include <cstdint>

namespace heddle::detail {

class callback;

// The owner's, all of it.
class loop_trace {
 public:
  /// On the loop's thread, before its first step and after its last.
  void begin(std::uint64_t runtime, std::uint32_t loop) noexcept;
  void end() noexcept;

  /// Of a loop that has created so many tasks: the last of them may be one to record, so that
  /// born() is to be asked.
  [[nodiscard]] bool may_sample(std::uint64_t created) const noexcept {
    return (created & mask_) == 0;
  }
  /// `t` was created by `creator`, or by a callback, as the loop's task number `created`. Marks it
  /// if it is to be recorded. Before any other thread can reach it.
  HEDDLE_COLD void born(task_record& t, task_record* creator, std::uint64_t created) noexcept;

  // A step: what the first returns goes to step_ends(), unless it is 0 (nothing is recorded).
  // `polled`: when the loop polled last.
  [[nodiscard]] HEDDLE_COLD std::uintptr_t step_begins(task_record& t, void* frame,
                                                       trace_event kind,
                                                       time_point polled) noexcept;
  HEDDLE_COLD void step_ends(std::uintptr_t function) noexcept;
  /// If every step is recorded.
  HEDDLE_COLD void callback_begins(const callback& c) noexcept;
  HEDDLE_COLD void callback_ends() noexcept;
  HEDDLE_COLD void task_ended(task_record& t) noexcept;
  HEDDLE_COLD void woken(task_record& t) noexcept;

  /// What is rare, and always recorded.
  HEDDLE_NOINLINE void note(trace_event kind, std::uint64_t what) noexcept;

  /// The word of the process has changed, or has to be compared with the time: look().
  [[nodiscard]] bool has_to_look() const noexcept {
    return tracing.all_until.load(relaxed) != seen_;
  }
  /// True: every step is recorded from here on.
  [[nodiscard]] HEDDLE_COLD bool look(time_point now) noexcept;

 private:
  static constexpr std::uint64_t never = ~std::uint64_t{0};
  static constexpr std::int64_t look_always = -1;
  static constexpr unsigned events_a_check = 128;

  void refresh() noexcept;
  void check_share() noexcept;
  [[nodiscard]] std::uint64_t better_rate(duration took) const noexcept;
  [[nodiscard]] bool in_gap(time_point polled) noexcept;
  void note_name(task_record& t) noexcept;

  std::uint64_t mask_ = never;  // see may_sample()
  std::int64_t seen_ = 0;       // of all_until
  trace_ring* ring_ = nullptr;
  std::uint64_t rate_ = never;  // a power of two, less one
  unsigned depth_ = 0;          // recorded steps that are under way, one inside the other
  unsigned until_check_ = events_a_check;
  bool all_ = false;
  time_point checked_{};
  time_point gap_until_{};  // time_point(): there is no gap
};

}  // namespace heddle::detail
