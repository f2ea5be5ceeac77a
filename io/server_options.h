// SPDX-License-Identifier: MIT
// How a server listens, whom it lets in, and how it makes the streams of its connections.
//
//   h::server_options o;
//   o.max_connections = 1000;
//   o.idle_limit = 75s;
//   h::server s = co_await h::start_server(handle, "127.0.0.1", 0, o);
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/core/clock.h>
#include <heddle/io/address.h>
#include <heddle/io/stream.h>
#include <heddle/io/tls_context.h>

#include <cstddef>
#include <optional>
#include <string>

namespace heddle {

/// What becomes of clients beyond server_options::max_connections.
enum class when_full {
  /// They wait in the kernel, `backlog` of them at each listener, until a place is free.
  wait,
  /// They are accepted, and reset at once. That is reported, at most once a second.
  refuse,
};

/// How long a proxy may take to send its header: server_options::proxy_header_limit.
inline constexpr std::chrono::seconds default_proxy_header_limit{10};
/// How long such a header may be: server_options::proxy_header_bytes.
inline constexpr std::size_t default_proxy_header_bytes = 4096;

/// The order of the fields is API: fields are appended, never reordered.
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

  // --- how many ---

  /// So many connections at one time, over all listeners; never one more. 0: no limit. A place is
  /// taken until the connection has ended and its handler has ended, too. At most PTRDIFF_MAX.
  /// Cost      one allocation and a lock for each connection
  std::size_t max_connections = 0;
  /// What becomes of the others. TCP and Unix alike.
  when_full if_full = when_full::wait;

  // --- how long ---
  //
  // A connection that passes one of these limits is ended. Whoever reads, drains or waits for its
  // end gets a std::system_error (ETIMEDOUT) that names the option; the peer sees the end of the
  // stream. std::nullopt: no limit. Else it must be positive.
  // Cost      no timer for a read or a write. A connection is looked at when a limit may have
  //           passed, for idle_limit four times as often. One allocation for each connection.

  /// From the call of the handler to the first byte of the client.
  std::optional<any_duration> first_byte_limit = {};
  /// Without a byte in either direction. Noticed at most a quarter of it later.
  std::optional<any_duration> idle_limit = {};
  /// From the call of the handler to the end of the connection, whatever it does.
  std::optional<any_duration> connection_limit = {};

  // --- where ---

  /// Other processes may listen at the same address and port, if they ask for the same and run as
  /// the same user (SO_REUSEPORT). The kernel then spreads new clients over all of them. So a new
  /// process starts beside the old one, which closes its server then: no client is refused. A
  /// client whose first packet meets the closing server connects after a second (the kernel sends
  /// it again).
  bool share_port = false;
  /// Unix servers: who may connect, as the mode of the socket's file (0660, say). It is set before
  /// anybody can connect. std::nullopt: as the process's umask says. At most 0777.
  std::optional<unsigned> socket_mode = {};
  /// Unix servers: the group of the socket's file, by its number; likewise.
  std::optional<unsigned> socket_group = {};
  /// Called with each listening socket before it is bound, for options that are not here
  /// (IP_FREEBIND, TCP_FASTOPEN, SO_BINDTODEVICE). Called for the trials of an address, too. What
  /// it throws ends the start. It must not close the socket or keep it.
  std::function<void(int socket, const address& at)> prepare = {};

  // --- behind a proxy ---

  /// True: each connection begins with a header of the PROXY protocol (version 1 or 2, as HAProxy
  /// defines it), before TLS. peer_address() and local_address() of its writer then are those that
  /// the header says; a header without addresses (UNKNOWN, LOCAL) leaves them. A connection with no
  /// such header, or a bad one, is reported ("bad PROXY header") and reset, and its handler is not
  /// called.
  ///
  /// Whoever can connect can claim any address. So let nobody but the proxy reach this server.
  bool proxy_header = false;
  /// A header that takes longer is bad. Positive.
  any_duration proxy_header_limit = default_proxy_header_limit;
  /// A longer header is bad. One of version 1 has at most 107 bytes in any case. From 16 to 65,551.
  std::size_t proxy_header_bytes = default_proxy_header_bytes;

  // --- reports ---

  /// Connections that fail before their handler is called (TLS, PROXY header) are reported at most
  /// once in this time, so that no client can fill a log. The report says how many others failed
  /// since the one before. Zero: each is reported. server_stats::dropped counts all of them in any
  /// case. Not negative.
  any_duration report_every = std::chrono::seconds(0);
};

}  // namespace heddle
