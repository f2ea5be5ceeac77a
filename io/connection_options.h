// SPDX-License-Identifier: MIT
// How a connection is made, and what its streams are like.
//
//   h::connection_options o;
//   o.limit = 1 << 20;
//   auto c = co_await h::open_connection("127.0.0.1", port, o);
#pragma once

#include <heddle/io/tls_context.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace heddle {

/// The default limit of a reader: so many bytes may stand before a separator.
inline constexpr std::size_t default_stream_limit = 64 * 1024;

struct connection_options {
  /// The reader's limit(), for read_until and read_line. In bytes, at least 1.
  std::size_t limit = default_stream_limit;
  /// Send small messages at once (TCP_NODELAY).
  bool no_delay = true;
  /// Bind to this numeric address first; empty: the kernel chooses.
  std::string local_host = {};
  std::uint16_t local_port = 0;
  /// Try only addresses of this family: AF_INET or AF_INET6; 0 (AF_UNSPEC): both.
  int family = 0;
  /// When no address can be connected to, throw an exception_group of all failures, and not the
  /// last failure alone.
  bool all_errors = false;
  /// Not empty: speak TLS, as a client. open_connection returns after the handshake.
  tls_context tls = {};
  /// The name that the server's certificate must have; empty: that of the host.
  std::string server_name = {};
};

}  // namespace heddle
