// SPDX-License-Identifier: MIT
// Internal to io.
// Makes the listening sockets of a server: at addresses, or of sockets that are given.
#pragma once

#include <heddle/io/address.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/server_options.h>
#include <heddle/io/servers/listener.h>

#include <memory>
#include <vector>

namespace heddle::detail {

/// What a server listens at.
struct binding {
  std::vector<address> where;  // each once, though there may be a listener for each loop
  std::vector<std::shared_ptr<listener>> listeners;
};

/// How often another port is drawn when the kernel's choice for the first address is taken at a
/// later one. After that the failure of the last try is thrown (EADDRINUSE).
inline constexpr int most_port_draws = 32;

/// A socket bound to `at`. `shares_port`: with SO_REUSEPORT. Throws std::system_error that names
/// the address; what options.prepare throws.
[[nodiscard]] fd bind_socket(const address& at, bool shares_port, const server_options& options);
/// Binds sockets to all of `at`, with one listener for each of `loops`, if the options say so.
/// Nothing listens yet. If an address fails, none stays bound. Addresses without a port get one in
/// common. Throws std::system_error that names the address; what options.prepare throws.
[[nodiscard]] binding bind_addresses(const std::vector<address>& at, unsigned loops,
                                     const server_options& options);

/// Throws bad_value unless every one of `sockets` is a stream socket that listens.
void check_listening_sockets(const std::vector<int>& sockets);
/// Throws bad_value unless it is a Unix stream socket that is bound.
void check_bound_unix_socket(int socket);
/// Takes over the sockets, which were checked. Throws std::system_error, std::bad_alloc; then they
/// are closed.
[[nodiscard]] binding adopt_sockets(const std::vector<int>& sockets, unsigned loops, bool shared);

}  // namespace heddle::detail
