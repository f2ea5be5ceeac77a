// SPDX-License-Identifier: MIT
// Pseudo-terminals: a program runs in one as it does in the window of a person.
//
//   h::process_options o;
//   o.terminal = h::terminal_size{24, 80};
//   auto shell = co_await h::create_subprocess_exec(o, "sh", "-i");
//   shell.terminal.writer.write("tty\n");
//   const std::string echoed = co_await shell.terminal.reader.read_line();
//   shell.terminal.resize({50, 120});  // the program gets SIGWINCH
#pragma once

#include <heddle/io/process_options.h>
#include <heddle/io/stream.h>

#include <cstddef>
#include <string>

namespace heddle {

/// The user's side of a pseudo-terminal: what is written here is typed, what is read here is shown.
///
/// The reader ends when all programs have closed the terminal: an end of the stream, and not the
/// EIO of the system. It also ends the writer then. The terminal turns "\n" of a program into
/// "\r\n", and echoes what is typed, unless a program sets it otherwise.
/// Thread-safety  as streams; resize() and size() from any thread while the terminal is open
class pty {
 public:
  pty() noexcept = default;
  pty(pty&&) noexcept = default;
  pty& operator=(pty&& other) noexcept;
  ~pty() { close(); }

  stream_reader reader;
  /// write_eof() types the terminal's character for the end of the input (^D). Close the terminal
  /// by close() of this object.
  stream_writer writer;

  /// Sets the size. The programs in the foreground get SIGWINCH if it differs from the last.
  /// Throws    std::system_error; EBADF once the terminal is closed
  void resize(terminal_size size);
  [[nodiscard]] terminal_size size() const;
  /// The path at which programs can open the terminal, such as "/dev/pts/3". Throws as resize().
  [[nodiscard]] std::string path() const;
  /// Opens the side of programs: a new descriptor, closed on exec, which belongs to the caller. For
  /// stdio::fd. Throws as resize().
  [[nodiscard]] int open_program_side() const;
  /// Hangs up: the programs get SIGHUP, and bytes that they have not read are dropped.
  void close() noexcept;
  [[nodiscard]] bool valid() const noexcept { return writer.valid(); }
};

/// Opens a pseudo-terminal that no program uses yet. Called in a task. For one program it is easier
/// to set process_options::terminal. `limit` is the reader's limit(), at least 1.
/// Throws    std::system_error; bad_value; no_running_loop
[[nodiscard]] pty open_pty(terminal_size size, std::size_t limit);
[[nodiscard]] pty open_pty(terminal_size size = {});

}  // namespace heddle
