// SPDX-License-Identifier: MIT
// lines: messages that are lines of text, over a connection. What chats, Redis, SMTP and the like
// speak.
//
//   h::lines in(std::move(connection));
//   while (auto line = co_await in.next()) co_await in.write("you said " + *line);
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/stream.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heddle {

/// The longest line by default, in bytes.
inline constexpr std::size_t default_max_line = std::size_t{64} * 1024;

/// What ends a line.
enum class line_ending : std::uint8_t {
  either,  // reads LF and CR LF; writes LF
  lf,      // LF alone: a CR before it belongs to the line
  crlf,    // CR LF alone. A bare CR or LF is refused: two programs that read it in two ways can be
           // made to see two different messages
};

struct line_options {
  /// The longest line that is read or written, in bytes, without its end. At least 1.
  std::size_t max_line = default_max_line;
  line_ending ending = line_ending::either;
};

/// Messages that are lines, over a connection that the lines own.
/// Thread-safety  One task at a time in next(). write() from any loop: the bytes of one line are
///                never mixed with those of another. The lines must outlive the tasks that they
///                returned.
class lines {
 public:
  /// Throws bad_value for a max_line of 0.
  explicit lines(connection over) : lines(std::move(over), line_options()) {}
  lines(connection over, const line_options& options);

  /// Yields the next line, without its end; nothing at the end of the stream.
  /// Cost      one frame of a task, and the string. Each byte is looked at once. At most max_line
  ///           and one receive are held.
  /// Cancel    has consumed nothing: the next call reads the same line
  /// Throws    incomplete_read_error, with the bytes that were left, for an end inside a line;
  ///           bad_value, which names max_line, for a longer line, as soon as so many bytes are
  ///           there; bad_value for a bare CR or LF, where line_ending::crlf forbids them. Then the
  ///           lines are over, and each further call throws the same. std::system_error as any read
  [[nodiscard]] task<std::optional<std::string>> next();
  /// Writes one line and its end, and waits by the marks of the writer, as drain() does.
  /// Cost      no joining copy: as stream_writer::write_lines()
  /// Cancel    the line is sent whole all the same
  /// Throws    bad_value at the call, and writes nothing: the line is longer than max_line, or has
  ///           an LF in it, or a CR (but with line_ending::lf). So no text can add a line of its
  ///           own. What drain() throws.
  [[nodiscard]] task<> write(std::string_view line);

  /// The connection: to close it, or to read what stands between lines (a body of known length).
  [[nodiscard]] connection& under() noexcept { return under_; }

 private:
  [[nodiscard]] bool has_line(std::string_view there, std::size_t& looked,
                              std::string_view& line) const;
  void check_length(std::size_t n) const;

  connection under_;
  line_options options_;
};

}  // namespace heddle
