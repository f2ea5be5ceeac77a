// SPDX-License-Identifier: MIT
// How a server listens.
//
//   h::server_options o;
//   o.reuse_port = false;
//   h::server s = co_await h::start_server(take, "127.0.0.1", 0, o);
#pragma once

#include <heddle/io/stream.h>

#include <cstddef>
#include <string>

namespace heddle {

struct server_options {
  /// Connections that wait in the kernel to be accepted, for each listener; also the most that are
  /// accepted at one go.
  int backlog = 1024;
  /// For the readers; in bytes, at least 1.
  std::size_t limit = default_stream_limit;
  bool no_delay = true;
  /// One listener for each loop, by SO_REUSEPORT; false: one for all, which also refuses a second
  /// server on the port.
  bool reuse_port = true;
  bool start_serving = true;
  /// Unix servers: remove the path when the server closes (unless something else stands there by
  /// then).
  bool cleanup_socket = true;
  /// Name of the connections' tasks; empty: none.
  std::string name = {};
};

}  // namespace heddle
