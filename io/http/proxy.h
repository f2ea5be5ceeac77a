// SPDX-License-Identifier: MIT
// Which proxy a client's requests go through.
//
//   http::session_options o;
//   o.proxy = http::proxy("http://user:secret@proxy.example:3128");
//   o.proxy = http::proxy::from_environment();   // http_proxy, https_proxy, all_proxy, no_proxy
#pragma once

#include <heddle/io/http/url.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heddle::http {

/// A choice of proxies. Plain http goes to the proxy as a request for the whole URL; https goes
/// through a tunnel that CONNECT asks for, with TLS to the server inside. The proxy itself is
/// spoken to in plain HTTP. Its credentials are for it alone: they never go through a tunnel.
/// Thread-safety  a value
class proxy {
 public:
  /// None: connections go to the server.
  proxy() = default;
  /// This proxy for all requests. Throws bad_value for a URL that is not of http.
  explicit proxy(std::string_view url);
  /// The same, but not for the names in `except`: "a.com, .b.com, 127.0.0.1, h:8080", or "*". A
  /// name stands for itself and all names below it.
  proxy(std::string_view url, std::string_view except);
  /// What the environment says now: http_proxy and https_proxy, or else all_proxy, by the scheme of
  /// the URL, and no_proxy. The last three are known in capitals, too; HTTP_PROXY is not, since a
  /// client of a CGI program could set it. Throws bad_value as above.
  [[nodiscard]] static proxy from_environment();

  /// A proxy taken apart.
  struct endpoint {
    std::string host;
    std::uint16_t port = 0;
    std::string authorization;  // the value of Proxy-Authorization; empty: none
  };
  /// The one that requests of this URL go through.
  [[nodiscard]] const endpoint* choose(const url& to) const;

 private:
  std::optional<endpoint> plain_;
  std::optional<endpoint> secure_;
  std::string except_;
};

}  // namespace heddle::http
