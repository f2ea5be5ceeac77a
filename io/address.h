// SPDX-License-Identifier: MIT
// The address of a socket: IPv4, IPv6 or Unix. A value; no name is looked up (resolve.h does that).
//
//   const h::address at = h::address::ip("127.0.0.1", 80);
//   at.to_string() == "127.0.0.1:80"
#pragma once

#include <heddle/core/checked.h>

#include <cstdint>
#include <string>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>

namespace heddle {

/// A socket address, by value. Empty (family 0) if there is none, as for the peer of an unnamed
/// Unix socket.
/// Cost      136 bytes; no allocation but for text
/// Thread-safety  as an int
class address {
 public:
  address() noexcept = default;
  address(const sockaddr* a, socklen_t length) noexcept;

  /// From a numeric IPv4 or IPv6 address ("127.0.0.1", "::1", "fe80::1%eth0"). Throws bad_value.
  static address ip(std::string_view host, port_number port);
  /// From a path, or from '\0' and an abstract name. Throws bad_value for one that is empty or
  /// longer than 107 bytes.
  static address unix_path(std::string_view path);
  /// The address that a socket is bound to, and that of its peer. Empty if there is none.
  static address local_of(int socket) noexcept;
  static address peer_of(int socket) noexcept;

  [[nodiscard]] int family() const noexcept { return length_ ? storage_.any.sa_family : 0; }
  [[nodiscard]] bool is_ip() const noexcept { return family() == AF_INET || family() == AF_INET6; }
  /// "127.0.0.1", "::1"; for Unix sockets the path.
  [[nodiscard]] std::string host() const;
  /// 0 for Unix sockets.
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// "127.0.0.1:80", "[::1]:80", "/run/x.sock", "@abstract", "vsock:CID:PORT"; "" when empty.
  [[nodiscard]] std::string to_string() const;

  [[nodiscard]] const sockaddr* data() const noexcept { return &storage_.any; }
  [[nodiscard]] socklen_t size() const noexcept { return length_; }
  void set_port(port_number port) noexcept;

  friend bool operator==(const address& a, const address& b) noexcept;

 private:
  union storage {
    sockaddr any;
    sockaddr_storage all;
    sockaddr_un unix_name;
  } storage_{};
  socklen_t length_ = 0;
};

}  // namespace heddle
