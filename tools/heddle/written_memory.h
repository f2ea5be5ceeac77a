// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: which memory a program can write, and how far its threads' stacks
// go. Of a process /proc tells, of a core its headers.
#pragma once

#include "core_file.h"

#include <heddle/core/seeing/sight.h>

#include <string>
#include <vector>

namespace tool {

/// What can be read and written, in one piece.
struct written_region {
  address begin = 0;
  address end = 0;
  std::string path;  // what is mapped there, as the system calls it; may be empty
  std::string file;  // the last part of the path of the file whose variables these are; else empty
};

/// In the order of their addresses. `core`: nullptr, if it is a process. Empty: nothing is known of
/// it, as of a program before a debugger.
[[nodiscard]] std::vector<written_region> written_regions(const seeing::sight& of,
                                                          const core_file* core);

struct thread_stack {
  pid_t thread = 0;
  address pointer = 0;      // what stands below it is dead, but for the red zone
  bool is_of_pool = false;  // it runs jobs of to_thread. Of a core: not known
};
inline constexpr address red_zone = 128;  // bytes

/// Of each thread that stands still. A thread that runs does not tell.
[[nodiscard]] std::vector<thread_stack> thread_stacks(const seeing::sight& of,
                                                      const core_file* core);

}  // namespace tool
