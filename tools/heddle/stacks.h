// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: where the thread of a running task stands.
#pragma once

#include <heddle/core/seeing/running.h>

#include <sys/types.h>

namespace tool {

namespace seeing = heddle::detail::seeing;

/// While one lives the thread stands still, if that was asked for and it was not blocked in the
/// kernel anyway. So what is found on its stack holds.
class looked_at_thread {
 public:
  /// `stops`: a thread that runs is stopped by ptrace, for well under a millisecond. One that
  /// blocks is never stopped: some system calls would be cut short.
  looked_at_thread(pid_t process, pid_t thread, bool stops);
  looked_at_thread(const looked_at_thread&) = delete;
  ~looked_at_thread();

  /// False: it runs, or may not be asked.
  [[nodiscard]] bool known() const { return known_; }
  [[nodiscard]] const seeing::native_stack& stack() const { return stack_; }

 private:
  [[nodiscard]] bool read_blocked(pid_t process);
  [[nodiscard]] bool stop();

  pid_t thread_;
  bool stopped_ = false;
  bool known_ = false;
  seeing::native_stack stack_;
};

}  // namespace tool
