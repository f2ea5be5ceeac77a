// SPDX-License-Identifier: MIT
// Internal to sched.
// Decides whether a loop is kept by its step for too long. Pure: it is told what a look saw, and
// asks for nothing.
//
// Problem   The count of a loop's steps stands still also when the machine takes the processor from
//           the process: other programs want it, a cgroup is throttled, a debugger or SIGSTOP stops
//           the process, a virtual machine is suspended. No step is to blame for that.
// Chosen    What counts is time that the step has used. A step is charged the time of processors
//           that its thread got. The rest of the time between two looks is open: the thread slept
//           in a system call, or it wanted a processor, or was stopped. Of a gap at most
//           `most_a_look` is kept so: a longer one means that the watch stood still too. Only when
//           half of the limit is open the system is asked for the thread's state, which costs a
//           file in /proc and a descriptor for a moment. If the thread sleeps, the open time is
//           charged; else it is dropped.
// Cost      A stall that began between two looks is charged from the second one on.
#pragma once

#include <heddle/core/base/time_types.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace heddle::detail {

class stall_judge {
 public:
  static constexpr duration most_a_look = std::chrono::milliseconds(40);

  /// True: the loop is in the step that it was in at the last look.
  [[nodiscard]] bool is_same_step(std::uint64_t steps, bool awake) const noexcept {
    return awake && awake_ && steps == steps_;
  }
  /// The loop is in another step, or asleep. `used`: by its thread so far.
  void begin(std::uint64_t steps, bool awake, duration used) noexcept {
    steps_ = steps;
    awake_ = awake;
    used_ = used;
    charged_ = open_ = {};
  }
  /// The same step as at the last look, which was `gap` ago. `used`: by its thread so far.
  void add(duration gap, duration used) noexcept {
    const duration computed = std::clamp(used - used_, duration::zero(), gap);
    used_ = used;
    charged_ += computed;
    open_ += std::min(gap - computed, most_a_look);
  }
  /// True: so much is open that the system has to be asked; then state() is to be called.
  [[nodiscard]] bool must_ask(duration limit) const noexcept { return open_ >= limit / 2; }
  /// The thread's state as the system tells it: R runs or wants to, S and D sleeps, others stopped.
  void state(char is) noexcept {
    if (is == 'S' || is == 'D') charged_ += open_;
    open_ = {};
  }
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  /// What the step is charged so far.
  [[nodiscard]] duration charged() const noexcept { return charged_; }

 private:
  std::uint64_t steps_ = 0;
  bool awake_ = false;
  duration used_{};
  duration charged_{};
  duration open_{};  // time that it has not computed
};

}  // namespace heddle::detail
