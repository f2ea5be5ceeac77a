// SPDX-License-Identifier: MIT
// frames: messages over a connection, each with its length in front.
//
//   h::frames f(std::move(connection));
//   co_await f.write("question");
//   while (auto message = co_await f.next()) use(*message);
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/byte_order.h>
#include <heddle/io/stream.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heddle {

/// The greatest frame by default, in bytes.
inline constexpr std::size_t default_max_frame = std::size_t{1024} * 1024;

struct frame_options {
  /// The bytes of the length: 1 to 8.
  std::size_t length_bytes = 4;
  byte_order order = byte_order::big;
  /// The greatest frame that is read or written, in bytes, without its length.
  std::size_t max_frame = default_max_frame;
};

/// Messages with their length in front, over a connection that the frames own.
/// Thread-safety  One task at a time in next(). write() from any loop: the bytes of one frame are
///                never mixed with those of another. The frames must outlive the tasks that they
///                returned.
class frames {
 public:
  /// Throws bad_value for a length of 0 or more than 8 bytes.
  explicit frames(connection over) : frames(std::move(over), frame_options()) {}
  frames(connection over, const frame_options& options);

  /// Yields the next frame; nothing at the end of the stream.
  /// Cost      one frame of a task, and the string, which grows with the bytes that come
  /// Cancel    has consumed nothing: the next call reads the same frame
  /// Throws    incomplete_read_error, with the bytes that were left, for an end inside a frame;
  ///           bad_value, which names max_frame, for a longer one: before memory is taken for it.
  ///           Then the frames are over, and each further call throws the same.
  ///           std::system_error as any read
  [[nodiscard]] task<std::optional<std::string>> next();
  /// Writes one frame, and waits by the marks of the writer, as drain() does.
  /// Cost      one allocation, which joins the length and the bytes
  /// Cancel    the frame is sent whole all the same
  /// Throws    bad_value at the call, and writes nothing: the frame is longer than max_frame, or
  ///           its length does not fit into length_bytes. What drain() throws.
  [[nodiscard]] task<> write(std::string_view bytes);

  /// The connection, to close it, say.
  [[nodiscard]] connection& under() noexcept { return under_; }

 private:
  [[nodiscard]] std::uint64_t length_in_front() const;
  void check_length(std::uint64_t n) const;

  connection under_;
  frame_options options_;
};

}  // namespace heddle
