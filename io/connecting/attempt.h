// SPDX-License-Identifier: MIT
// Internal to io.
// One attempt to connect to one address.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/io/connection_options.h>
#include <heddle/io/stream.h>

namespace heddle::detail {

/// Connects a new socket to `to`, by TCP or to a Unix socket.
/// Throws    std::system_error that names the call and the address
/// Cancel    the socket is closed
[[nodiscard]] task<connection> connect_to(address to, connection_options options);

}  // namespace heddle::detail
