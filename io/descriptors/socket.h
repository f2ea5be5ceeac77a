// SPDX-License-Identifier: MIT
// Internal to io.
// Makes the sockets of the library: non-blocking, and closed on exec.
#pragma once

#include <heddle/io/address.h>
#include <heddle/io/descriptors/fd.h>

namespace heddle::detail {

/// A stream socket for `family`. Throws std::system_error.
fd make_stream_socket(int family, const address& about);
/// setsockopt. Throws std::system_error that names `call` and `about`.
void set_option(int socket, int level, int name, int value, const char* call, const address& about);
/// Sets O_NONBLOCK. Throws std::system_error that names `about`.
void make_non_blocking(int descriptor, const std::string& about);
/// Sets TCP_NODELAY, if the family has it.
void set_no_delay(int socket, int family) noexcept;

}  // namespace heddle::detail
