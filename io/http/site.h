// SPDX-License-Identifier: MIT
// Where a server listens: at a TCP port or at a Unix socket, with TLS or without.
//
//   std::vector<http::site> both{http::listen("127.0.0.1", 0), http::site::unix_socket(path)};
//   h::task<> starting = server.start(both);
#pragma once

#include <heddle/core/checked.h>
#include <heddle/io/tls_context.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace heddle::http {

/// A value.
class site {
 public:
  /// Port 0: the kernel picks one.
  [[nodiscard]] static site tcp(std::string host, port_number port) {
    return {std::move(host), port, false};
  }
  /// A socket at the path that no process listens at is replaced; any other file there is an error.
  /// The path is removed when the server stops. A path that begins with '\0' is an abstract name.
  [[nodiscard]] static site unix_socket(std::string path) { return {std::move(path), 0, true}; }
  /// A site as people write it: "127.0.0.1:8080", "[::1]:0", "localhost:80", "unix:/run/app.sock".
  /// An empty host is every address. Throws bad_value, which names the text.
  [[nodiscard]] static site parse(std::string_view text);
  /// https, with this context of a server.
  site& tls(tls_context context) {
    tls_ = std::move(context);
    return *this;
  }

  [[nodiscard]] bool is_unix() const noexcept { return unix_; }
  /// The host, or the path.
  [[nodiscard]] const std::string& where() const noexcept { return where_; }
  [[nodiscard]] port_number port() const noexcept { return port_; }
  [[nodiscard]] const tls_context& tls() const noexcept { return tls_; }

 private:
  site(std::string where, port_number port, bool is_unix)
      : where_(std::move(where)), port_(port), unix_(is_unix) {}

  std::string where_;
  port_number port_;
  bool unix_;
  tls_context tls_;
};

/// site::parse.
[[nodiscard]] inline site listen(std::string_view text) { return site::parse(text); }
/// site::tcp.
[[nodiscard]] inline site listen(std::string host, port_number port) {
  return site::tcp(std::move(host), port);
}

}  // namespace heddle::http
