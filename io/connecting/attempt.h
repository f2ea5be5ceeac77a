// SPDX-License-Identifier: MIT
// Internal to io.
// One attempt to connect to one address.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/io/connection_options.h>
#include <heddle/io/stream.h>

namespace heddle::detail {

/// Connects a new socket to `to`, by TCP or to a Unix socket. Both arguments outlive the task.
///
/// The kernel may choose the very port that is connected to, where no server listens. Then the
/// socket meets itself and would echo all that is sent. Such a connection is refused.
/// Cost      beside the system calls that make the socket and wait for it, one that asks for our
///           own address
/// Throws    std::system_error that names the call and the address; what `options.prepare` throws
/// Cancel    the socket is closed
[[nodiscard]] task<connection> connect_to(const address& to, const connection_options& options);

/// Makes the streams of a socket that is connected already, and owns it from then on.
/// Throws    bad_value if it is no connected stream socket: then it is as it was, and the caller's.
///           std::system_error and std::bad_alloc: it is closed
[[nodiscard]] connection adopt_socket(int socket, const connection_options& options);

/// Throws bad_value for options that make no sense. Later checks rely on it.
void check_connection_options(const connection_options& options);

}  // namespace heddle::detail
