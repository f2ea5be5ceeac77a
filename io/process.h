// SPDX-License-Identifier: MIT
// Child processes, as asyncio has them: started, fed and read by pipes, awaited, and signalled.
// Tasks that wait for a child hold no loop.
//
//   h::process_options piped;
//   piped.stdout = h::stdio::pipe;
//   auto p = co_await h::create_subprocess_exec(piped, "echo", "-n", "a", "b");
//   const std::string text = co_await p.stdout.read();
//   const int code = co_await p.wait();
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/process/process_parts.h>
#include <heddle/io/process_options.h>
#include <heddle/io/pty.h>
#include <heddle/io/stream.h>

#include <concepts>
#include <csignal>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace heddle {

/// A child process. Destroying the handle of a running child kills it (SIGKILL) and reaps it, but
/// for a child that was detached.
///
/// A loop notices the exit, whether a task waits for it or not: by a pidfd, or by a waiting thread
/// where the kernel has no pidfds. No other child of the program is ever reaped. A child that other
/// code of the program has reaped counts as ended with 255, and that is reported.
/// Thread-safety  everything, but for the streams, which are as other streams. A handle is made in
///                a task, and used in tasks of the same runtime.
class process {
 public:
  process() noexcept = default;
  process(process&&) noexcept = default;
  process& operator=(process&& other) noexcept;
  ~process();

  /// The pipes to the child; not valid() if they were not asked for. When the child has ended
  /// without reading all of its input, stdin.drain() throws EPIPE.
  stream_writer stdin;
  stream_reader stdout;
  stream_reader stderr;
  /// Our side of the child's terminal; not valid() without process_options::terminal.
  pty terminal;
  /// Our ends of process_options::pipes, by the number in the child. Valid as long as this object.
  /// Throws    bad_value if there is no such pipe, or not in that direction
  [[nodiscard]] stream_writer& input(int number);
  [[nodiscard]] stream_reader& output(int number);

  [[nodiscard]] pid_t pid() const;
  /// The exit code, or the negative number of the signal that ended the child; empty while it runs.
  [[nodiscard]] std::optional<int> returncode() const;
  /// What the child used; empty while it runs, and if other code has reaped it.
  [[nodiscard]] std::optional<resource_usage> usage() const;

  /// Waits for the end of the child, and yields its returncode(). Any number of tasks may wait. A
  /// child that writes much to a pipe never ends unless the pipe is read: see communicate().
  /// Cancel    the child runs on
  [[nodiscard]] task<int> wait() const;
  /// Writes `input` to stdin, closes it, reads stdout and stderr to their ends, and waits for the
  /// child. A child that does not read its input is no error. This object must outlive the returned
  /// task. When that task ends, in whatever way, none of the tasks that it made is left.
  /// Cancel    the bytes that were read are lost; the child runs on
  [[nodiscard]] task<process_output> communicate(std::string input);
  [[nodiscard]] task<process_output> communicate();
  /// The same for at most `limit`. When it passes the result says timed_out, and holds what was
  /// read. So a grandchild that keeps the pipes open cannot hold this up. The child runs on. Bytes
  /// of the input that the child has not taken still stand in stdin, which stays open. A further
  /// communicate() goes on where this one stopped.
  [[nodiscard]] task<process_output> communicate(std::string input, any_duration limit);

  /// Sends a signal. Throws no_such_process once the child has ended, std::system_error if the
  /// signal is forbidden.
  void send_signal(int number);
  /// Sends SIGTERM.
  void terminate() { send_signal(SIGTERM); }
  /// Sends SIGKILL.
  void kill() { send_signal(SIGKILL); }
  /// Sends a signal to all processes of the child's group: the child, and what it has started and
  /// not put elsewhere. Works also after the end of a child that leads its group.
  /// Throws    no_such_process once the group has ended. Before Linux 6.9 also once the child has
  ///           ended: then its number may name another group. usage_error if the child was started
  ///           in our group; std::system_error if the signal is forbidden
  void signal_group(int number);
  /// The child runs on when this object goes; it is still reaped when it ends, and so is never a
  /// zombie. While the runtime lives one of its loops does that, afterwards a thread. The pipes
  /// still close with this object: give a detached child other streams, and usually a session of
  /// its own (process_options::new_session), so that it does not end with our terminal.
  void detach() noexcept;
  /// Closes the pipes and the terminal, kills the child if it runs and is not detached, and
  /// arranges that it is reaped. Returns at once.
  void close() noexcept;
  [[nodiscard]] bool valid() const noexcept { return state_.get() != nullptr; }

 private:
  friend struct process_access;
  struct extra_pipe {
    child_pipe what;
    stream_reader reader;
    stream_writer writer;  // of a pipe that we read: what closes it
  };
  [[nodiscard]] extra_pipe& find_pipe(int number, child_pipe::direction way);

  detail::process_ref state_;
  std::vector<extra_pipe> extra_;
  stream_writer closers_[2];  // the writing halves of stdout and stderr: they close the pipes
};

/// Starts the program `command[0]`, with the rest as its arguments. A name without a slash is
/// looked up in the child's PATH.
/// Throws    std::system_error that names the program; nothing is left behind then. bad_value for
///           an empty command, and for options that make no sense
[[nodiscard]] task<process> create_subprocess_exec(std::vector<std::string> command,
                                                   process_options options);
/// Starts `/bin/sh -c command`. Do not build the command from text that others sent you: the shell
/// would run it.
[[nodiscard]] task<process> create_subprocess_shell(std::string command, process_options options);

// Overloads and not default arguments: g++ 12 miscompiles an aggregate temporary inside an awaited
// expression.
[[nodiscard]] task<process> create_subprocess_exec(std::vector<std::string> command);
[[nodiscard]] task<process> create_subprocess_shell(std::string command);

namespace detail {
/// The same for the words of an array, which are moved out of it.
[[nodiscard]] task<process> exec_words(std::string* words, std::size_t count,
                                       process_options options);
[[nodiscard]] task<process> exec_words(std::string* words, std::size_t count);
}  // namespace detail

/// The same with the command word by word.
template <class... Words>
  requires(std::convertible_to<Words, std::string> && ...)
[[nodiscard]] task<process> create_subprocess_exec(process_options options, std::string program,
                                                   Words&&... words) {
  std::string all[] = {std::move(program), std::string(std::forward<Words>(words))...};
  return detail::exec_words(all, 1 + sizeof...(Words), std::move(options));
}
template <class... Words>
  requires(std::convertible_to<Words, std::string> && ...)
[[nodiscard]] task<process> create_subprocess_exec(std::string program, Words&&... words) {
  std::string all[] = {std::move(program), std::string(std::forward<Words>(words))...};
  return detail::exec_words(all, 1 + sizeof...(Words));
}

}  // namespace heddle
