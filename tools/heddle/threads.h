// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: the threads of a process, and what each does just now.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tool {

struct thread {
  pid_t number = 0;
  std::string name;
  bool runs = false;        // on a processor, or about to; else it is blocked in the kernel
  long call = -1;           // the number of the system call that it is blocked in; -1: not known
  std::uint64_t stack = 0;  // its stack pointer; 0: not known
};

/// All threads of the process. Nothing of it stops: /proc tells.
[[nodiscard]] std::vector<thread> threads_of(pid_t process);
/// One of them. `process` 0: nothing is known of it.
[[nodiscard]] thread thread_of(pid_t process, pid_t number);
/// "computes", or "is blocked in futex"; "was there", where the system knows nothing of it.
[[nodiscard]] std::string doing_of(const thread& t);

}  // namespace tool
