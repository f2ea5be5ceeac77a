// SPDX-License-Identifier: MIT
// What the kernel does for a connection: questions to a silent peer, and the sizes of its buffers.
//
//   h::connection_options o;
//   o.socket.keep_alive = 30s;
//   o.socket.unsent_limit = 16 * 1024;
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>

#include <cstddef>
#include <optional>

namespace heddle {

/// A time or a count that is out of its range is a bad_value. A Unix socket takes the sizes of the
/// buffers, and nothing else of it. The order of the fields is API: fields are appended, never
/// reordered.
struct socket_options {
  /// After so long without a byte from the peer the kernel asks whether the peer is there
  /// (SO_KEEPALIVE, TCP_KEEPIDLE). In whole seconds, rounded up, from 1 to 32,767. std::nullopt: it
  /// never asks, and a peer that lost its power is never missed.
  std::optional<any_duration> keep_alive = {};
  /// The time between two such questions (TCP_KEEPINTVL), likewise.
  any_duration keep_alive_every = std::chrono::seconds(75);
  /// After so many questions without an answer the connection ends with ETIMEDOUT (TCP_KEEPCNT).
  /// From 1 to 127.
  int keep_alive_probes = 9;
  /// Bytes that the kernel keeps for sending and for receiving (SO_SNDBUF, SO_RCVBUF). 0: the
  /// kernel adapts them to the connection, which is best for most. A number fixes them: the kernel
  /// doubles it, for what it has to note, within the limits of the machine.
  std::size_t send_buffer = 0;
  std::size_t receive_buffer = 0;
  /// The kernel takes bytes only while fewer than so many are unsent in it (TCP_NOTSENT_LOWAT). The
  /// rest stays in the stream's buffer, where drain() and its marks see it, and where a later write
  /// is nearer to the peer. 16 KiB is enough for full speed. 0: the kernel takes all it has room
  /// for.
  std::size_t unsent_limit = 0;
  /// Bytes that the peer has not acknowledged for so long end the connection with ETIMEDOUT
  /// (TCP_USER_TIMEOUT). In milliseconds, rounded up, at least 1. std::nullopt: the kernel tries
  /// for about a quarter of an hour.
  std::optional<any_duration> unacknowledged_limit = {};
};

}  // namespace heddle
