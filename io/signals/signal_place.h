// SPDX-License-Identifier: MIT
// Internal to io.
// Signals of the process, seen by who asks for them. Below signal_set and loop::add_signal_handler.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/io/descriptors/fd.h>

#include <cstdint>

namespace heddle::detail {

/// Throws bad_value for what is no signal's number; usage_error for what cannot be caught, if
/// `to_catch`.
void check_signal(int number, bool to_catch = true);

/// One line of the table that the signal handler looks at. While a signal is wanted here its action
/// is ours; it is what it was before when nobody wants it any more.
/// Thread-safety  want() and unwant() from any thread, the rest belongs to the owner.
class signal_place {
 public:
  /// Throws usage_error if 32 live already, std::system_error.
  signal_place();
  signal_place(const signal_place&) = delete;
  ~signal_place();

  /// Throws usage_error.
  void want(int signal);
  void unwant(int signal) noexcept;
  /// A signal that came, the lowest first, or 0.
  int take() noexcept;
  /// A signal that take() has given comes once more, and so does the edge of the bell. For one that
  /// could not be told to anybody now.
  void put_back(int signal) noexcept;
  /// Readable once a signal came: each is an edge.
  [[nodiscard]] int bell() const noexcept { return bell_.get(); }

 private:
  fd bell_;
  struct signal_line* line_ = nullptr;
  std::uint64_t mask_ = 0;  // under the registry's lock
};

}  // namespace heddle::detail
