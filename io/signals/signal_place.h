// SPDX-License-Identifier: MIT
// Internal to io.
// Signals of the process, on their way to those that want them: signal_set, and the handlers of
// loop::add_signal_handler.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/io/descriptors/fd.h>

#include <cstdint>

namespace heddle::detail {

/// Throws bad_value for a number that is no signal; with `to_catch` also usage_error for a signal
/// that cannot be caught.
void check_signal(int number, bool to_catch = true);

/// One line of the table that the C signal handler looks at. A signal that is wanted by a place has
/// our action; a signal that no place wants any more has its former action again.
///
/// Problem   A signal handler may interrupt any code, so it must take no lock and allocate nothing.
/// Chosen    It notes the signal in the lines that want it, and rings their eventfds. A reactor
///           watches those, and the rest happens on a loop.
/// Rejected  signalfd: the signals would have to be blocked in every thread, also in threads of the
///           user that were there before us.
/// Thread-safety  want() and unwant(): any thread. The rest: the place's owner.
class signal_place {
 public:
  /// Throws usage_error if 32 places live already; std::system_error.
  signal_place();
  signal_place(const signal_place&) = delete;
  ~signal_place();

  /// Throws usage_error if the signal cannot be caught.
  void want(int signal);
  void unwant(int signal) noexcept;
  /// Takes a signal that came, the lowest first; 0: there is none.
  int take() noexcept;
  /// Puts back a signal that take() has given, and rings the bell again. For a signal that could
  /// not be told to its handler now.
  void put_back(int signal) noexcept;
  /// A descriptor that becomes readable when a signal comes: each signal is an edge.
  [[nodiscard]] int bell() const noexcept { return bell_.get(); }

 private:
  fd bell_;
  struct signal_line* line_ = nullptr;
  std::uint64_t mask_ = 0;  // under the registry's lock
};

}  // namespace heddle::detail
