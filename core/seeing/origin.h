// SPDX-License-Identifier: MIT
// Internal to core.
// Where a program stands that is no process of this machine: in a core file, or before a debugger.
#pragma once

#include <heddle/core/seeing/memory.h>
#include <heddle/core/seeing/modules.h>

#include <sys/types.h>

namespace heddle::detail::seeing {

/// What a sight asks instead of the system. It outlives the sight.
class origin {
 public:
  [[nodiscard]] virtual memory& contents() noexcept = 0;
  /// Fills in the code and the heads of files. False: nothing is known of them.
  [[nodiscard]] virtual bool list(modules& to) noexcept = 0;
  /// A file that the program had mapped, opened for its symbols; the caller closes it. -1: it is
  /// not there, or it is of another build.
  [[nodiscard]] virtual int open_file(const char* name) noexcept = 0;
  /// The number that the process had; 0: not known.
  [[nodiscard]] virtual pid_t process() const noexcept = 0;

 protected:
  ~origin() = default;
};

}  // namespace heddle::detail::seeing
