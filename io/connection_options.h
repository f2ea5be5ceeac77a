// SPDX-License-Identifier: MIT
// How a connection is made, and what its streams are like.
//
//   h::connection_options o;
//   o.connect_limit = 30s;
//   auto c = co_await h::open_connection("127.0.0.1", port, o);
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/io/address.h>
#include <heddle/io/socket_options.h>
#include <heddle/io/tls_context.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace heddle {

/// The default limit of a reader: so many bytes may stand before a separator.
inline constexpr std::size_t default_stream_limit = 64 * 1024;
/// How long the next address of a name waits for the one before it (RFC 8305).
inline constexpr std::chrono::milliseconds default_attempt_delay{250};

/// The order of the fields is API: fields are appended, never reordered.
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
  /// When no address can be connected to, throw an exception_group of all failures, in the order of
  /// the addresses. False: throw one std::system_error. It lists each address with its error, and
  /// has the code of the last one.
  bool all_errors = false;
  /// Not empty: speak TLS, as a client. open_connection returns after the handshake.
  tls_context tls = {};
  /// The name that the server's certificate must have; empty: that of the host.
  std::string server_name = {};
  /// What the kernel does for the connection. Set before it connects.
  socket_options socket = {};
  /// Further numeric addresses to bind to, for the other family. Each attempt binds to the first of
  /// local_host and these that is of its family. If none is, its address is skipped, and that is
  /// its error (EADDRNOTAVAIL).
  std::vector<std::string> local_hosts = {};
  /// Not 0: bind to any free port from local_port to this one. Successive attempts begin at
  /// successive ports.
  std::uint16_t local_port_last = 0;
  /// Called with each new socket before it is bound and connects, for options that are not here
  /// (SO_MARK, IP_TOS, SO_BINDTODEVICE). What it throws ends the call, but for a std::system_error:
  /// that is the error of this one address. It must not close the socket or keep it.
  std::function<void(int socket, const address& to)> prepare = {};
  /// For the look-up of the name and all attempts together. A handshake of TLS has a limit of its
  /// own. When it passes, timeout_error names the host and what became of each address that was
  /// tried. std::nullopt: no limit. Then an address that swallows packets costs the kernel's two
  /// minutes.
  std::optional<any_duration> connect_limit = {};
  /// An attempt that has neither connected nor failed after so long gets company: the next address
  /// is tried beside it. Zero: all addresses at once.
  any_duration attempt_delay = default_attempt_delay;
  /// So many addresses of the first address's family come first; then the families alternate. At
  /// least 1.
  std::size_t first_family_count = 1;
  /// Not empty: the addresses of both families are looked up apart, at one time. When one family is
  /// known, the other has so long to follow, and is then dropped; RFC 8305 says 50 ms. Costs a
  /// second look-up, and getaddrinfo then cannot put the family first that leads somewhere.
  /// std::nullopt: one look-up for both, which ends when both are known.
  std::optional<any_duration> resolution_delay = {};
};

}  // namespace heddle
