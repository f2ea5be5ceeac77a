// SPDX-License-Identifier: MIT
// Internal to io.
// How a server ends its direction when it expects nothing more.
#pragma once

namespace heddle {

class stream_writer;

namespace detail {

/// As write_eof(), and also over TLS 1.2. There the peer ends at once, and what it has yet to send
/// is lost: so this is for a connection of which nothing more is expected. Throws as write_eof().
void end_output(stream_writer& writer);

/// True: bytes that were written are not with the kernel yet. The word of TLS that ends our
/// direction does not count: it is sealed when all else has gone, and a close sends it.
[[nodiscard]] bool has_unsent_data(stream_writer& writer);

}  // namespace detail
}  // namespace heddle
