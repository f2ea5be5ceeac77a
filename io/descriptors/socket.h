// SPDX-License-Identifier: MIT
// Internal to io.
// Sockets as the library makes them: non-blocking, closed on exec.
#pragma once

#include <heddle/io/address.h>
#include <heddle/io/descriptors/fd.h>

namespace heddle::detail {

/// A stream socket for `family`. Throws std::system_error.
fd make_stream_socket(int family, const address& about);
/// Throws std::system_error about `about`.
void set_option(int socket, int level, int name, int value, const char* call, const address& about);
/// TCP_NODELAY where the family has it.
void set_no_delay(int socket, int family) noexcept;

}  // namespace heddle::detail
