// SPDX-License-Identifier: MIT
// Two connected streams without a kernel between them: for tests, and for parts of one program.
//
//   auto [client, server] = h::memory_pair();
//   client.writer.write("hello\n");
//   std::string line = co_await server.reader.read_line();
#pragma once

#include <heddle/io/stream.h>

#include <cstddef>
#include <utility>

namespace heddle {

/// Bytes of each direction that stand between the two ends.
inline constexpr std::size_t default_memory_buffer = 64 * 1024;

/// Two ends of one connection. They end as a TCP connection does: an end that is closed with bytes
/// unread, or aborted, resets the other; what came before can be read. There is no descriptor, so
/// native_handle() is -1 and the addresses are empty. Needs no runtime to be made, and works under
/// testing::simulate, where a seed decides who comes first.
///
/// A sender whose peer does not read is held up as from a socket: after `buffer` bytes its writes
/// are buffered, and drain() waits by its marks. Both belong to no runtime: the end of a runtime
/// does not close them.
/// Cost      two allocations of `buffer` bytes, held until both ends are gone; a message is
///           copied twice.
/// Throws    bad_value for a buffer or a limit of 0; std::bad_alloc.
/// Thread-safety  as other streams: the ends may be used on different loops.
[[nodiscard]] std::pair<connection, connection> memory_pair(
    std::size_t buffer = default_memory_buffer, std::size_t limit = default_stream_limit);

}  // namespace heddle
