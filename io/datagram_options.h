// SPDX-License-Identifier: MIT
// How a datagram socket is made, what a datagram is, and how one is sent.
//
//   h::datagram_options o;
//   o.packet_info = true;
//   auto socket = h::datagram_socket::bind(h::address::ip("0.0.0.0", 53), o);
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/io/address.h>
#include <heddle/io/peer_credentials.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heddle {

/// How a datagram socket is made.
struct datagram_options {
  bool reuse_port = false;  ///< several sockets share one address, and the kernel spreads senders
  bool broadcast = false;   ///< sending to broadcast addresses is allowed
  /// Several sockets may share one address, and the last one hears. For multicast: all hear.
  bool reuse_address = false;
  /// IPv6: true: IPv6 alone. False: an IPv6 socket at "::" hears IPv4 too. nullopt: as the system.
  std::optional<bool> v6_only = {};
  /// Tell datagram_info::destination, interface_index, traffic_class, received_at and dropped.
  bool packet_info = false;
  /// Unix: tell datagram_info::credentials.
  bool credentials = false;
  /// UDP: let the kernel join datagrams of one sender on their way (GRO), for fewer system calls.
  /// They are told apart again. Where the kernel cannot, nothing changes.
  bool coalesce = false;
  /// Bytes that the kernel keeps for receiving and sending; 0: as the system. At most what
  /// net.core.rmem_max and wmem_max allow.
  std::size_t receive_buffer = 0;
  std::size_t send_buffer = 0;
  /// datagram_socket::connect: bind to this address first. Empty: the kernel chooses.
  address local = {};
  /// Unix, bound to a path: close() removes the path, unless another file stands there by then.
  bool cleanup_socket = true;
};

/// What one receive has taken.
struct datagram_info {
  address sender;          ///< empty for an unnamed Unix socket
  std::size_t size = 0;    ///< how many bytes were stored
  std::size_t length = 0;  ///< how many bytes the datagram had
  bool truncated = false;  ///< the datagram was longer than its room: the rest is lost

  // With datagram_options::packet_info:
  address destination;           ///< the address that it was sent to; its port is 0
  unsigned interface_index = 0;  ///< of the interface that it came in by
  unsigned traffic_class = 0;    ///< TOS byte of IPv4, traffic class of IPv6
  std::chrono::system_clock::time_point received_at{};  ///< when the kernel took it in
  std::uint32_t dropped = 0;  ///< so many did not fit since the socket was made; modulo 2^32

  /// With datagram_options::credentials: of the process that sent it.
  std::optional<peer_credentials> credentials = {};

  /// Explicit congestion notification: the low two bits of the traffic class.
  [[nodiscard]] unsigned ecn() const noexcept { return traffic_class & 3; }
};

/// One datagram, with its bytes.
struct datagram : datagram_info {
  std::string bytes;
};

/// One datagram for datagram_socket::send_many.
struct outgoing_datagram {
  std::string_view bytes;  ///< stays until the call ends
  address to = {};         ///< empty: the connected peer
};

/// How one datagram is sent.
struct send_options {
  /// The source address, as datagram_info::destination tells it: an answer goes out from where the
  /// question came in. Empty: the kernel chooses.
  address from = {};
  unsigned interface_index = 0;  ///< 0: the kernel chooses
  /// TOS byte or traffic class, 0 to 255; -1: that of the socket.
  int traffic_class = -1;
};

}  // namespace heddle
