// SPDX-License-Identifier: MIT
// Where a server listens: at a TCP port or at a Unix socket, on sockets that it is given, with TLS
// or without.
//
//   std::vector<http::site> both{http::listen("127.0.0.1", 0), http::site::unix_socket(path)};
//   h::task<> starting = server.start(both);
//
// A process that takes over from another one, so that no client is refused:
//   - behind systemd, or another parent that passes sockets (LISTEN_FDS): given_sites();
//   - beside the old one, at the same port: options().share_port in both;
//   - with the old one's sockets: server::sockets(), passed by unix_socket::send_descriptors, and
//     site::given() in the new one. When that has started, the old one calls server::hand_over().
// Then the old one stops.
#pragma once

#include <heddle/core/checked.h>
#include <heddle/io/server_options.h>
#include <heddle/io/tls_context.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

/// A value.
class site {
 public:
  enum class kind : std::uint8_t { tcp, unix_socket, given, given_unix };

  /// Port 0: the kernel picks one.
  [[nodiscard]] static site tcp(std::string host, port_number port) {
    site s(kind::tcp);
    s.where_ = std::move(host);
    s.port_ = port;
    return s;
  }
  /// A socket at the path that no process listens at is replaced; any other file there is an error.
  /// The path is removed when the server stops. A path that begins with '\0' is an abstract name.
  [[nodiscard]] static site unix_socket(std::string path) {
    site s(kind::unix_socket);
    s.where_ = std::move(path);
    return s;
  }
  /// A site as people write it: "127.0.0.1:8080", "[::1]:0", "localhost:80", "unix:/run/app.sock".
  /// An empty host is every address. Throws bad_value, which names the text.
  [[nodiscard]] static site parse(std::string_view text);
  /// Sockets that listen already, TCP or Unix, as heddle::start_server_on() says. They are the
  /// server's from its start on. Ports are those of the sockets.
  [[nodiscard]] static site given(std::vector<int> sockets) {
    site s(kind::given);
    s.sockets_ = std::move(sockets);
    return s;
  }
  /// A Unix socket that is bound, and need not listen yet, as heddle::start_unix_server_on() says.
  [[nodiscard]] static site given_unix(int socket) {
    site s(kind::given_unix);
    s.sockets_.push_back(socket);
    return s;
  }
  /// https, with this context of a server.
  site& tls(tls_context context) {
    tls_ = std::move(context);
    return *this;
  }
  /// How this site listens and lets connections in: all that servers of streams can be told
  /// (io/server_options.h). The mode and the group of a Unix socket, a port that processes share,
  /// PROXY headers, limits on connections and their times. They count in place of the `backlog`,
  /// `reuse_port` and `handshake_limit` of the http::server_options. tls() counts more than `tls`
  /// here; `start_serving` does not count. If `report_every` is zero, it is a second here.
  site& options(heddle::server_options o) {
    options_ = std::move(o);
    return *this;
  }

  [[nodiscard]] kind what() const noexcept { return kind_; }
  [[nodiscard]] bool is_unix() const noexcept {
    return kind_ == kind::unix_socket || kind_ == kind::given_unix;
  }
  /// The host, or the path. Empty for sockets that are given.
  [[nodiscard]] const std::string& where() const noexcept { return where_; }
  [[nodiscard]] port_number port() const noexcept { return port_; }
  [[nodiscard]] const std::vector<int>& sockets() const noexcept { return sockets_; }
  [[nodiscard]] const tls_context& tls() const noexcept { return tls_; }
  [[nodiscard]] const std::optional<heddle::server_options>& options() const noexcept {
    return options_;
  }

 private:
  explicit site(kind k) noexcept : kind_(k) {}

  kind kind_;
  port_number port_ = 0;
  std::string where_;
  std::vector<int> sockets_;
  tls_context tls_;
  std::optional<heddle::server_options> options_;
};

/// site::parse.
[[nodiscard]] inline site listen(std::string_view text) { return site::parse(text); }
/// site::tcp.
[[nodiscard]] inline site listen(std::string host, port_number port) {
  return site::tcp(std::move(host), port);
}

/// A site for each socket that this program was started with: given_sockets() (LISTEN_FDS). None,
/// if it was started with none. The second one: those alone that have this name (LISTEN_FDNAMES).
/// Throws  as heddle::given_sockets()
[[nodiscard]] std::vector<site> given_sites();
[[nodiscard]] std::vector<site> given_sites(std::string_view name);

}  // namespace heddle::http
