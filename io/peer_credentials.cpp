// SPDX-License-Identifier: MIT
#include <heddle/io/peer_credentials.h>

#include <heddle/core/errors.h>
#include <heddle/io/descriptors/fd.h>

#include <sys/socket.h>

namespace heddle {

std::optional<peer_credentials> peer_credentials_of(int descriptor) {
  const std::string about = "descriptor " + std::to_string(descriptor);
  int family = 0;
  socklen_t length = sizeof family;
  detail::check(::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &length),
                "getsockopt SO_DOMAIN", about);
  if (family != AF_UNIX) return std::nullopt;
  ucred found{};
  length = sizeof found;
  detail::check(::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &found, &length),
                "getsockopt SO_PEERCRED", about);
  // A socket without a peer has none: the kernel says so by a user of -1.
  if (found.uid == static_cast<uid_t>(-1)) return std::nullopt;
  return peer_credentials{found.pid, found.uid, found.gid};
}

std::optional<peer_credentials> peer_credentials_of(const stream_writer& writer) {
  if (!writer.valid()) detail::throw_usage("this stream was moved from");
  return peer_credentials_of(writer.native_handle());
}

}  // namespace heddle
