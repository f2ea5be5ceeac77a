// SPDX-License-Identifier: MIT
//
// The client's side of a WebSocket, as far as a load needs it: a handshake, and messages that are
// made once. Extensions are not offered, so nothing is compressed.
#pragma once

#include <cstddef>
#include <string>

namespace bench {

/// The handshake on a blocking socket. Throws std::runtime_error if the server does not answer
/// with 101 and the right key.
void upgrade(int socket, const std::string& path);

/// A binary message of so many bytes, masked, in one frame.
std::string websocket_message(std::size_t bytes);

/// The same message as a server sends it.
std::string websocket_echo(std::size_t bytes);

}  // namespace bench
