// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// A callback that waits for its time first.
#pragma once

#include <heddle/core/base/runtime_number.h>
#include <heddle/sched/loop/timers.h>
#include <heddle/sched/loop/work.h>

namespace heddle::detail {

class worker;

/// A callback that waits for its time first. While it does its timer holds the reference that the
/// queue has afterwards.
class timed_callback : public callback, public timer_node {
 public:
  timed_callback() noexcept : timer_node(nullptr) {}

  /// Before it is armed: it is to run on `home`, a loop of runtime `number`. `due` is called when
  /// its time has come.
  void belongs_to(worker& home, runtime_number number, fire_function due) noexcept {
    home_ = &home;
    runtime_ = number;
    fire = due;
  }
  /// The lock of `in`, the timers of its loop, is held. True: it is now the first. Throws
  /// std::bad_alloc, before anything changed.
  bool arm(timers& in, time_point when);
  /// Its time has come, and it does not wait any more. Returns its loop, which the caller gives it
  /// to. Under the lock of the timers.
  [[nodiscard]] worker& comes_due() noexcept {
    armed_.store(false, detail::release);  // pairs with cancel_timer(), which lets go of the timers
    return *home_;
  }

 private:
  bool cancel_timer() noexcept override;
  bool cancel_armed() noexcept;

  worker* home_ = nullptr;  // alive while armed_
  atomic<bool> armed_{false};
  runtime_number runtime_ = 0;
};

}  // namespace heddle::detail
