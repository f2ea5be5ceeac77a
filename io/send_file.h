// SPDX-License-Identifier: MIT
// Sends files over connections, without a copy where the kernel can do that.
//
//   auto f = co_await h::file::open(path);
//   c.writer.write(head);
//   const auto n = co_await h::send_file(c.writer, f);
//   c.writer.write(tail);
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/file.h>
#include <heddle/io/stream.h>

#include <cstdint>

namespace heddle {

/// What send_file() sends, and how. The order of the fields is API: fields are appended, never
/// reordered.
struct send_file_options {
  /// Where in the file it begins.
  file_offset offset = 0;
  /// At most so many bytes. Fewer are sent if the file ends before.
  file_offset count = INT64_MAX;
  /// Where the kernel cannot send this file over this stream, read it and write the bytes. False:
  /// throw std::system_error with EOPNOTSUPP then, before any byte is sent.
  bool fallback = true;
};

/// Sends bytes of `from`, and yields how many. Returns when the transport has taken all of them.
/// The position of the file does not matter, and stays. How long the file is is asked once, at the
/// beginning. The kernel sends what it has in memory over plain sockets (sendfile). Bytes that only
/// the disk has are read by a file thread. Over TLS, memory and pipes, and for files that the
/// kernel makes up (/proc), bytes are read and written.
/// Cost      plain sockets: three system calls for 256 KiB. Else a copy, and its write
/// Ordering  as one write: what was written before comes before it, and what any task writes
///           meanwhile behind it. The bytes count for the marks of drain(). Several tasks may send
///           files: one goes after the other. Meanwhile start_tls is a usage_error.
/// Cancel    the bytes that the transport has, or was given, are sent; the others are not, and the
///           connection goes on. Use the form with `sent` to know how many.
/// Throws    what broke the connection; ECONNRESET for a writer that was closed, and then nothing
///           is read; usage_error after write_eof, and for a file that was closed, or not opened
///           for reading. std::system_error with EIO if the file became shorter meanwhile: then the
///           connection is reset, since the peer may have been promised all of it. A read error:
///           likewise, if bytes of the file went
/// Thread-safety  `to` and `from` must outlive the task
[[nodiscard]] task<std::uint64_t> send_file(stream_writer& to, file& from);
[[nodiscard]] task<std::uint64_t> send_file(stream_writer& to, file& from, file_offset offset);
[[nodiscard]] task<std::uint64_t> send_file(stream_writer& to, file& from, file_offset offset,
                                            file_offset count);
[[nodiscard]] task<std::uint64_t> send_file(stream_writer& to, file& from,
                                            send_file_options options);
/// The same, and adds to `sent` what was sent. So `sent` is right also after a cancellation. When
/// the connection broke it may be too small by up to 256 KiB where bytes are read and written. Read
/// it when the task has ended.
[[nodiscard]] task<std::uint64_t> send_file(stream_writer& to, file& from,
                                            send_file_options options, std::uint64_t& sent);

}  // namespace heddle
