// SPDX-License-Identifier: MIT
// Internal to sched.
// A thread in run, which waits for its main task. Not a public header.
#pragma once

#include <heddle/core/record/eventual.h>
#include <heddle/sched/runtime/interrupt.h>
#include <heddle/sched/runtime/runtime_state.h>

#include <cstdint>

namespace heddle::detail {

/// Holds a foreign thread until its main task ends, or something fatal happens. While it lives the
/// loops do not stand still.
class main_waiter : public join_node {
 public:
  explicit main_waiter(runtime_state& s);
  ~main_waiter();
  /// Returns when `target` is done. Throws a fatal error that comes before that; usage_error if
  /// stop() ends the run. The first SIGINT that `interrupts` counts meanwhile cancels `target`; the
  /// second is a fatal error.
  void wait(eventual& target, const interrupt_watch& interrupts);
  /// True: an interrupt has cancelled the target before it was done.
  [[nodiscard]] bool interrupted() const noexcept { return interrupted_; }

 private:
  template <class>
  friend struct layout_of;

  static void fired(join_node& node, eventual&, work_list&) noexcept;
  void wait_for(eventual& target, const interrupt_watch& interrupts);

  runtime_state* state_;
  std::uint64_t told_;
  std::uint64_t stops_;
  atomic<bool> ended_{false};
  bool interrupted_ = false;
};

}  // namespace heddle::detail
