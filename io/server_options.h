// SPDX-License-Identifier: MIT
// How a server listens, and how it makes the streams of its connections.
//
//   h::server_options o;
//   o.reuse_port = false;
//   h::server s = co_await h::start_server(handle, "127.0.0.1", 0, o);
#pragma once

#include <heddle/core/clock.h>
#include <heddle/io/stream.h>
#include <heddle/io/tls_context.h>

#include <cstddef>
#include <string>

namespace heddle {

struct server_options {
  /// So many connections may wait in the kernel to be accepted, at each listener. It is also the
  /// most that are accepted at one go. At least 1.
  int backlog = 1024;
  /// The limit() of the readers, in bytes; at least 1.
  std::size_t limit = default_stream_limit;
  /// Send small messages at once (TCP_NODELAY).
  bool no_delay = true;
  /// True: one listener for each loop, by SO_REUSEPORT. False: one listener for all loops, which
  /// also refuses a second server on the port.
  bool reuse_port = true;
  /// False: accepting begins with server::start_serving() or server::serve_forever().
  bool start_serving = true;
  /// Unix servers: remove the path when the server closes, unless another file stands there by
  /// then.
  bool cleanup_socket = true;
  /// The name of the connections' tasks; empty: none.
  std::string name = {};
  /// Not empty: speak TLS, as a server. A handler is called after its handshake. A handshake that
  /// fails is reported ("TLS handshake failed"), and its handler is not called.
  tls_context tls = {};
  /// A handshake that takes longer fails, and its connection is aborted.
  duration handshake_limit = default_handshake_limit;
};

}  // namespace heddle
