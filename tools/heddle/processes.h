// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: which processes there are, and why one cannot be read.
#pragma once

#include <heddle/core/seeing/sight.h>

#include <sys/types.h>

#include <string>
#include <vector>

namespace tool {

namespace seeing = heddle::detail::seeing;

/// The tool's exit statuses; --help tells them.
enum status : int {
  good = 0,
  nothing = 1,     // nothing is there that was asked for
  circle = 2,      // tasks wait for each other in a circle
  refused = 3,     // the process may not be read
  gone = 4,        // the process has ended, or never was
  unreadable = 5,  // its layout is not known to this tool
  usage = 64,
};

/// All processes that this user can see, by number, without this one.
[[nodiscard]] std::vector<pid_t> all_processes();
/// The processes that `text` means: a number, or the name of a program. Empty: there is none.
[[nodiscard]] std::vector<pid_t> processes_named(const std::string& text);
/// The name of the program, as the system has it; empty if the process has gone.
[[nodiscard]] std::string command_of(pid_t process);
/// What stands in the way and what helps, in two lines on stderr. Returns the exit status.
int complain(pid_t process, seeing::opening why, const char* missing);
/// The same of what is there, and cannot be understood: a layout of another version, or none.
/// `what`: "process 4711", "this core".
int complain_of_layout(const std::string& what, const std::string& command, seeing::opening why,
                       const char* missing);
/// How long the process has been running, in seconds; 0: not known.
[[nodiscard]] double age_of(pid_t process);

}  // namespace tool
