// SPDX-License-Identifier: MIT
// Runs a program, or a pipeline of programs, to its end: input in, output out, a failure is an
// error.
//
//   std::vector<std::string> command{"git", "rev-parse", "HEAD"};
//   const auto done = co_await h::run_process(command);
//   log(done.output);
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/io/process.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace heddle {

struct run_options {
  /// Written to stdin, which is then closed. Empty: stdin is what `start` says.
  std::string input = {};
  /// Throw process_error unless the program ends with 0.
  bool check = true;
  /// How the program is started. Here stdin leads to /dev/null, and stdout and stderr are pipes
  /// whose text is gathered. With process_group 0 a cancellation ends the whole group.
  process_options start = {.stdin = stdio::null, .stdout = stdio::pipe, .stderr = stdio::pipe};
  /// So long a cancelled program has, from SIGTERM on, before SIGKILL.
  any_duration grace = std::chrono::seconds(5);
};

/// A program that has ended.
struct completed_process {
  /// The exit code, or the negative number of the signal that ended the program.
  int returncode = 0;
  std::string output;  // of stdout; empty if that was no pipe
  std::string errors;  // of stderr; likewise
  /// Empty if other code has reaped the child.
  std::optional<resource_usage> usage;
};

/// A program that was to succeed has failed. The message names the command, the code or the signal,
/// and the end of what was written to stderr: at most `most_shown` bytes of it.
class process_error : public std::runtime_error {
 public:
  static constexpr std::size_t most_shown = 1000;

  process_error(std::vector<std::string> command, completed_process ended);
  [[nodiscard]] const std::vector<std::string>& command() const noexcept { return command_; }
  /// As completed_process::returncode.
  [[nodiscard]] int returncode() const noexcept { return ended_.returncode; }
  /// All that it wrote, if stdout and stderr were pipes.
  [[nodiscard]] const std::string& output() const noexcept { return ended_.output; }
  [[nodiscard]] const std::string& errors() const noexcept { return ended_.errors; }

 private:
  std::vector<std::string> command_;
  completed_process ended_;
};

/// Runs a program to its end, and yields what it wrote. The output is kept in memory, however much.
/// Cancel    The program gets SIGTERM; what it still writes is dropped. After options.grace, or
///           after a second cancellation, it gets SIGKILL. It is reaped before cancelled_error is
///           thrown: no child and no zombie is left. So a time limit is wait_for(run_process(...),
///           limit). Any other error while it runs ends it in the same way.
/// Throws    process_error; what create_subprocess_exec throws
[[nodiscard]] task<completed_process> run_process(std::vector<std::string> command,
                                                  run_options options);
[[nodiscard]] task<completed_process> run_process(std::vector<std::string> command);

/// Programs of which each reads what the one before it writes.
struct completed_pipeline {
  std::vector<int> returncodes;  // one a program, in order
  std::string output;            // of the last program's stdout
  std::string errors;            // of all programs' stderr
};

/// Starts the programs, each one's stdout connected to the next one's stdin by the kernel alone:
/// when a program ends, the next reads the end, and the one before gets SIGPIPE. Yields them in
/// order. stdin of the options is that of the first program, stdout that of the last, all else is
/// for each.
/// Throws    as create_subprocess_exec; those that were started are killed then. bad_value for no
///           command
[[nodiscard]] task<std::vector<process>> create_pipeline(
    std::vector<std::vector<std::string>> commands, process_options options);

/// Runs a pipeline to its end. With options.check the last program that failed is told by
/// process_error, with the stderr of all. A program before the last that SIGPIPE has ended counts
/// as no failure: the next one did not want more.
/// Cancel    as run_process, for all programs
/// Throws    as create_pipeline; process_error
[[nodiscard]] task<completed_pipeline> run_pipeline(std::vector<std::vector<std::string>> commands,
                                                    run_options options);
[[nodiscard]] task<completed_pipeline> run_pipeline(std::vector<std::vector<std::string>> commands);

}  // namespace heddle
