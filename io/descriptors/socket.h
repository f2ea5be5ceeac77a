// SPDX-License-Identifier: MIT
// Internal to io.
// Makes the sockets of the library: non-blocking, and closed on exec.
#pragma once

#include <heddle/io/address.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/socket_options.h>

namespace heddle::detail {

/// A stream socket for `family`. Throws std::system_error.
fd make_stream_socket(int family, const address& about);
/// setsockopt. Throws std::system_error that names `call` and `about`.
void set_option(int socket, int level, int name, int value, const char* call, const address& about);
/// connect(). Returns 0 once it is connected, EINPROGRESS while it is on its way, else an errno. A
/// signal that interrupts the call is no result: the call is made again, and its answer counts.
[[nodiscard]] int begin_connect(int socket, const address& to) noexcept;
/// Sets O_NONBLOCK. Throws std::system_error that names `about`.
void make_non_blocking(int descriptor, const std::string& about);
/// Sets TCP_NODELAY, if the family has it.
void set_no_delay(int socket, int family) noexcept;
/// Throws bad_value for a number that is out of its range.
void check_socket_options(const socket_options& options);
/// Sets what is asked for. `options` are checked. Throws std::system_error that names the call and
/// `about`. Cost: nothing for options that are as they were made.
void set_socket_options(int socket, int family, const socket_options& options,
                        const address& about);

}  // namespace heddle::detail
