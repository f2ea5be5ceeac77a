// SPDX-License-Identifier: MIT
// Signals, awaited. A signal that no task waits for yet is kept for the next wait.
//
//   h::signal_set stop{SIGINT, SIGTERM};
//   const int number = co_await stop.wait();
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/task.h>

#include <csignal>
#include <cstddef>
#include <initializer_list>

namespace heddle {

namespace detail {
class signal_state;
}

/// While a set lives, its signals do not have their default actions: they are yielded by wait().
/// Several sets may name the same signal: each gets it. When the last set that names a signal goes,
/// the signal has its former action again. Equal signals that come faster than they are fetched are
/// merged, by the kernel and by the set.
/// Cost      one eventfd and one watch a set
/// Thread-safety  A set is made in a task, and one task waits at a time. A signal may come on any
///                thread. Loops and threads of pools take the signals that the thread took which
///                made the runtime; but they block SIGPIPE.
class signal_set {
 public:
  /// Throws bad_value for a number that is no signal; usage_error for SIGKILL and SIGSTOP, or if 32
  /// sets live already; no_running_loop.
  signal_set(std::initializer_list<int> signals);
  signal_set(signal_set&&) noexcept;
  signal_set& operator=(signal_set&&) noexcept;
  ~signal_set();

  /// Waits for a signal, and yields its number. Of several that came, the lowest is first.
  /// Cancel    loses no signal
  /// Throws    cancelled_error only
  [[nodiscard]] task<int> wait();

 private:
  detail::owned<detail::signal_state> state_;
};

}  // namespace heddle
