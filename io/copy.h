// SPDX-License-Identifier: MIT
// Moves bytes from one stream to another: one way, or both ways between two connections.
//
//   const auto n = co_await h::copy(from.reader, to.writer);
//   const auto n = co_await h::copy(client, upstream);      // a proxy
//   log(n.there, n.back);
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/stream.h>

#include <cstdint>

namespace heddle {

/// Bytes that were copied between two connections: `there` from the first to the second, `back`
/// from the second to the first.
struct copied_bytes {
  std::uint64_t there = 0;
  std::uint64_t back = 0;
};

/// Copies up to the end of `from`, and yields the number of bytes. Does not end or close `to`.
/// What was read is written before the copy waits for more. A slow receiver holds the copy back by
/// the marks of `to`.
/// Cost      No allocation but two frames; the bytes are written from the reader's own buffer. On
///           epoll, and between two sockets without TLS, large pieces are moved by the kernel: that
///           takes two descriptors and 64 KiB until the copy ends. Without descriptors they go by
///           memory.
/// Ordering  other tasks may write to `to` meanwhile: their bytes stand between two pieces
/// Cancel    every byte that left `from` was given to `to`; the rest stays in `from`
/// Throws    what broke `from` or `to`. A `to` that breaks while `from` is silent is noticed with
///           the next bytes.
/// Thread-safety  `from` and `to` must outlive the task. No other task may read from `from`.
[[nodiscard]] task<std::uint64_t> copy(stream_reader& from, stream_writer& to);
/// The same, and adds each piece to `count` when the piece is given to `to`. So `count` is right
/// also after an error or a cancellation. Read `count` when the task has ended.
[[nodiscard]] task<std::uint64_t> copy(stream_reader& from, stream_writer& to,
                                       std::uint64_t& count);

/// Copies both ways at once. The end of one direction is passed on by write_eof(), and the other
/// direction goes on. Yields both counts when both directions have ended. Does not close.
/// Over TLS 1.2 an end cannot be passed on alone (can_write_eof() is false): it is passed on, as a
/// close_notify, when the other direction has ended, too. So a peer behind TLS 1.2 that answers
/// only after its client's end waits for ever.
/// Cost      two child tasks
/// Cancel    ends both directions, as a cancelled one-way copy ends
/// Throws    the first error of either direction, when both have ended: an error in one direction
///           cancels the other one
/// Thread-safety  as one-way; both connections must outlive the task
[[nodiscard]] task<copied_bytes> copy(connection& a, connection& b);
/// The same, and adds to `counts`, which must outlive the task. Read `counts` when the task has
/// ended, also with an error.
[[nodiscard]] task<copied_bytes> copy(connection& a, connection& b, copied_bytes& counts);

}  // namespace heddle
