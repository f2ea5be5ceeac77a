// SPDX-License-Identifier: MIT
// Who asks, when proxies stand between: Forwarded (RFC 7239) and the X-Forwarded fields.
//
//   const http::trusted_proxies ours({"10.0.0.0/8", "::1"});
//   const auto from = http::origin_of("10.0.0.7", request.headers, ours);
//   log(from.remote, from.scheme, from.host);
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::http {

class headers;

/// What one proxy has noted of the request that came to it. "": it has not.
struct forwarded_hop {
  std::string by;
  std::string from;  // "for": "192.0.2.1", "[2001:db8::1]:80", "_hidden", "unknown"
  std::string host;
  std::string proto;
};

/// The hops of a Forwarded field, the first proxy's first. Reading ends where it is malformed, and
/// `broken` says so.
struct forwarded_hops {
  std::vector<forwarded_hop> hops;
  bool broken = false;
};
[[nodiscard]] forwarded_hops parse_forwarded(std::string_view field);

/// Networks whose proxies are believed.
class trusted_proxies {
 public:
  /// None.
  trusted_proxies() = default;
  /// Addresses and networks: "10.0.0.0/8", "192.0.2.1", "2001:db8::/32". Throws bad_value for any
  /// other text.
  explicit trusted_proxies(const std::vector<std::string>& networks);
  /// False also for a text that is no address. An IPv4 address that is mapped into IPv6 counts as
  /// IPv4.
  [[nodiscard]] bool contains(std::string_view address) const noexcept;

 private:
  struct network {
    std::array<std::uint8_t, 16> address;
    unsigned bits;
  };
  std::vector<network> networks_;
};

/// What the server may believe of a request. "": what the request itself says.
struct request_origin {
  std::string remote;  // the client's address, or what the last trusted proxy calls it
  std::string scheme;
  std::string host;
};

/// Goes from the connection's peer back along the proxies, as long as each is trusted: the fields
/// are read from the right, for all else in them may be the client's invention. Forwarded counts
/// more than X-Forwarded-For, -Proto and -Host. A malformed Forwarded field is not believed at all:
/// `remote` is the peer then.
[[nodiscard]] request_origin origin_of(std::string_view peer, const headers& of,
                                       const trusted_proxies& trusted);

}  // namespace heddle::http
