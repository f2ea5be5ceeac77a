// SPDX-License-Identifier: MIT
// Which proxy a client's requests go through.
//
//   http::session_options o;
//   o.proxy = http::proxy("http://user:secret@proxy.example:3128");
//   o.proxy = http::proxy("socks5h://127.0.0.1:9050");
//   o.proxy = http::proxy::from_environment();   // http_proxy, https_proxy, all_proxy, no_proxy
#pragma once

#include <heddle/io/http/url.h>
#include <heddle/io/tls_context.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heddle::http {

/// How a proxy is spoken to.
///   http     Plain http goes to it as a request for the whole URL. For https and WebSockets it
///            makes a tunnel (CONNECT), with TLS to the server inside.
///   https    The same over TLS: its certificate is checked against its own name. With https to the
///            server that is TLS in TLS.
///   socks5   RFC 1928, with user and password of RFC 1929. Names are looked up here, and the
///            addresses are tried in turn.
///   socks5h  The same, but the proxy looks the names up.
enum class proxy_kind : std::uint8_t { http, https, socks5, socks5h };

/// A choice of proxies. The credentials of a proxy are for it alone: they never go through a
/// tunnel.
/// Thread-safety  a value
class proxy {
 public:
  /// None: connections go to the server.
  proxy() = default;
  /// This proxy for all requests: a URL of one of the schemes above; without a scheme it is http.
  /// The ports are 80, 443 and 1080, unless the URL says otherwise; a path counts for nothing.
  /// Throws bad_value for another scheme; and for a user or a password of SOCKS that is longer than
  /// 255 bytes, or a password without a user.
  explicit proxy(std::string_view url);
  /// The same, but not for the names in `except`: "a.com, .b.com, 127.0.0.1, h:8080", or "*". A
  /// name stands for itself and all names below it.
  proxy(std::string_view url, std::string_view except);
  /// What the environment says now: http_proxy and https_proxy, or else all_proxy, by the scheme of
  /// the URL, and no_proxy. The last three are known in capitals, too; HTTP_PROXY is not, since a
  /// client of a CGI program could set it. Throws bad_value as above.
  [[nodiscard]] static proxy from_environment();

  /// How TLS to a proxy of https is done. By default as session_options::tls says, whatever a
  /// request says of its server. Connections with different contexts are apart.
  proxy& tls(const tls_context& context);

  /// A proxy taken apart.
  struct endpoint {
    std::string host;
    std::uint16_t port = 0;
    std::string authorization;  // the value of Proxy-Authorization; empty: none
    proxy_kind kind = proxy_kind::http;
    std::string user = {};  // of SOCKS; empty: none
    std::string password = {};
    tls_context tls = {};  // empty: the session's

    [[nodiscard]] bool is_socks() const noexcept {
      return kind == proxy_kind::socks5 || kind == proxy_kind::socks5h;
    }
  };
  /// The one that requests of this URL go through.
  [[nodiscard]] const endpoint* choose(const url& to) const;

 private:
  std::optional<endpoint> plain_;
  std::optional<endpoint> secure_;
  std::string except_;
};

}  // namespace heddle::http
