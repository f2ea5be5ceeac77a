// SPDX-License-Identifier: MIT
// Internal to io.
// The address and port that an attempt binds to.
#pragma once

#include <heddle/io/address.h>
#include <heddle/io/connection_options.h>

#include <cstdint>

namespace heddle::detail {

/// Chooses the local address for one attempt, and walks over the ports that it may use.
///
/// Problem   bind() with an address and no port takes a port for good: after 28,000 connections no
///           port is left, though each remote address has room for as many.
/// Chosen    Without a port the socket is bound with IP_BIND_ADDRESS_NO_PORT: connect() chooses the
///           port, and it may serve several remote addresses. With a port the socket may share it
///           with connections to other remote addresses (SO_REUSEADDR). Of a range the ports are
///           tried in turn, from a place that moves on with each attempt.
class local_end {
 public:
  /// `options` are checked. An attempt to a Unix socket binds to nothing. Throws std::system_error
  /// (EADDRNOTAVAIL) if local addresses are given, and none is of the family of `to`.
  local_end(const address& to, const connection_options& options);

  /// Binds, if there is something to bind to. Throws std::system_error.
  void bind(int socket) const;
  /// True: there is another port to try after `error`, and the next bind() uses it. The attempt
  /// needs a new socket.
  [[nodiscard]] bool try_next(int error) noexcept;

 private:
  address from_;  // empty: the kernel chooses all
  std::uint16_t first_ = 0;
  std::uint32_t ports_ = 1;  // how many the range holds
  std::uint32_t at_ = 0;     // the place in the range
  std::uint32_t left_ = 0;   // ports of the range that were not tried yet
};

/// Throws bad_value for local addresses that are not numeric, and for a range of ports that is
/// none.
void check_local_end(const connection_options& options);

}  // namespace heddle::detail
