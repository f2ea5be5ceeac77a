// SPDX-License-Identifier: MIT
// Signals, awaited.
//
//   h::signal_set stop{SIGINT, SIGTERM};
//   int number = co_await stop.wait();
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

/// Takes signals from their default actions while it lives and hands them to who waits. Several
/// sets may name the same signal: each is told. When the last set that names it goes, the action
/// from before is back. The kernel merges equal signals that come faster than they are fetched; so
/// does a set.
/// Thread-safety  made in a task; one waits at a time; a signal may come on any thread, and be sent
///                to one: loops and the threads of pools take what the thread took that made the
///                runtime, but for SIGPIPE, which they block.
class signal_set {
 public:
  /// Throws bad_value for a number that is no signal, usage_error for SIGKILL and SIGSTOP or if 32
  /// sets live already, no_running_loop.
  signal_set(std::initializer_list<int> signals);
  signal_set(signal_set&&) noexcept;
  signal_set& operator=(signal_set&&) noexcept;
  ~signal_set();

  /// The number of a signal that came since it was last told, the lowest first. Cancel: loses none.
  /// Throws cancelled_error only.
  [[nodiscard]] task<int> wait();

 private:
  detail::owned<detail::signal_state> state_;
};

}  // namespace heddle
