// SPDX-License-Identifier: MIT
// Internal to sched.
// Decides whether a loop is kept by its step for too long. Pure: it is told what a look saw, and
// asks for nothing.
//
// Problem   The count of a loop's steps stands still also when the machine takes the processor from
//           the process: other programs want it, a cgroup is throttled, a debugger or SIGSTOP stops
//           the process, a virtual machine is suspended. No step is to blame for that.
// Chosen    What counts is time that the step has used. A thread that computes is charged the time
//           of processors that it got. A thread that sleeps in a system call is charged the time
//           between two looks, and at most `most_a_look`: a longer gap means that the watch stood
//           still too. A thread that is stopped is charged nothing.
// Cost      A stall that began between two looks is charged from the second one on.
#pragma once

#include <heddle/core/base/time_types.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace heddle::detail {

/// What the system says of a thread.
struct thread_sight {
  char state = 'R';  // R: runs or wants to, S and D: sleeps; others: it is stopped
  duration used{};   // time of processors, so far

  [[nodiscard]] bool runs() const noexcept { return state == 'R'; }
  [[nodiscard]] bool sleeps() const noexcept { return state == 'S' || state == 'D'; }
};

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
    charged_ = {};
  }
  /// The same step as at the last look, which was `gap` ago.
  void add(duration gap, const thread_sight& thread) noexcept {
    const duration used = std::max(thread.used - used_, duration::zero());
    used_ = thread.used;
    if (thread.sleeps())
      charged_ += std::max(used, std::min(gap, most_a_look));
    else
      charged_ += std::min(used, gap);
  }
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  /// What the step is charged so far.
  [[nodiscard]] duration charged() const noexcept { return charged_; }

 private:
  std::uint64_t steps_ = 0;
  bool awake_ = false;
  duration used_{};
  duration charged_{};
};

}  // namespace heddle::detail
