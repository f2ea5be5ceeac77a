// SPDX-License-Identifier: MIT
// Who the peer of a Unix socket is: its process, user and group, as the kernel vouches for them.
//
//   const auto who = h::peer_credentials_of(connection.writer);
//   if (!who || who->user != ::getuid()) connection.writer.abort();
#pragma once

#include <heddle/io/stream.h>

#include <optional>

#include <sys/types.h>

namespace heddle {

struct peer_credentials {
  pid_t process = 0;  ///< 0: it runs in a namespace that this process does not see
  uid_t user = 0;
  gid_t group = 0;
  friend bool operator==(const peer_credentials&, const peer_credentials&) = default;
};

/// The credentials of the process that connected, listened, or made the pair, at that moment.
/// nullopt: no connected Unix socket, such as one of TCP.
/// Cost      two system calls
/// Throws    std::system_error for a descriptor that is not open or no socket
/// Thread-safety  any thread
[[nodiscard]] std::optional<peer_credentials> peer_credentials_of(int descriptor);
/// The same for the peer of a stream. Throws usage_error on a writer that was moved from, and
/// std::system_error once the connection is closed.
[[nodiscard]] std::optional<peer_credentials> peer_credentials_of(const stream_writer& writer);

}  // namespace heddle
