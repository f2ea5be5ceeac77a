// SPDX-License-Identifier: MIT
// Two connected streams without a kernel between them: for tests, and between parts of a program.
//
//   auto [client, server] = h::memory_pair();
//   client.writer.write("hello\n");
//   const std::string line = co_await server.reader.read_line();
#pragma once

#include <heddle/io/stream.h>

#include <cstddef>
#include <utility>

namespace heddle {

/// The default of how many bytes stand between the two ends, in each direction.
inline constexpr std::size_t default_memory_buffer = 64 * 1024;

/// Two ends of one connection. They end as a TCP connection does. An end that is aborted, or closed
/// with bytes unread, resets the other end; bytes that came before can be read. There is no
/// descriptor, so native_handle() is -1 and the addresses are empty. No runtime is needed to make a
/// pair. It works under testing::simulate, where a seed decides which end goes first.
///
/// A sender whose peer does not read is held up as by a socket: after `buffer` bytes its writes are
/// buffered, and drain() waits by its marks. The ends belong to no runtime, and the end of a
/// runtime does not close them.
/// Cost      two allocations of `buffer` bytes, held until both ends are gone; a message is copied
///           twice
/// Throws    bad_value for a buffer or a limit of 0; std::bad_alloc
/// Thread-safety  as other streams: the ends may be used on different loops
[[nodiscard]] std::pair<connection, connection> memory_pair(
    std::size_t buffer = default_memory_buffer, std::size_t limit = default_stream_limit);

}  // namespace heddle
