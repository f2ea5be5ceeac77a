// SPDX-License-Identifier: MIT
// Internal to io.
// Watches descriptors that must be gone as soon as they are closed.
//
// Problem   A poll of io_uring holds the open file until the kernel has acted on its cancellation,
//           which is with the owner's next submission. A stream shuts its socket down first, so
//           nobody notices. A datagram socket cannot be shut down. After close() its port would
//           be taken for a while, and datagrams to it would vanish where a refusal is due. A
//           foreign descriptor must not be shut down: its peer would learn late of its close.
// Rejected  Waiting in close() for the kernel. The loop that must submit may be busy, or be the
//           one that calls close().
// Chosen    A ring has one set of epoll beside it, and polls the set. The set holds no file:
//           closing the last descriptor of a file takes it out.
// Costs     On io_uring one more descriptor a loop, and one more system call for each batch of
//           events. On epoll nothing.
#pragma once

#include <heddle/io/reactor/reactor.h>

namespace heddle::detail {

/// Watches `descriptor` (non-blocking) in both directions, by edges, until io_source::retire(), by
/// the reactor of the calling loop. After retire() a close() takes effect at once; where the open
/// file lives on, reactor::forget() before it. Throws std::system_error (EPERM for a file that
/// cannot be polled), std::bad_alloc, no_running_loop.
[[nodiscard]] io_source& watch_edges(int descriptor);

}  // namespace heddle::detail
