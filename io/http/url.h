// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

/// An absolute http URL, taken apart. `target` is what goes into the request line: path and query,
/// still encoded.
///
///     auto u = url::parse("http://localhost:8080/a%20b?n=1#top");
///     // u.host "localhost", u.port 8080, u.target "/a%20b?n=1"   (a fragment is for the client
///     alone)
struct url {
  std::string scheme;      // "http" or "https", lower case
  std::string host;        // lower case; an IPv6 address stands without its brackets
  std::uint16_t port = 0;  // 80 or 443 when the text names none
  std::string target;      // never empty: "/" at least

  /// Throws bad_value, which names the text and what is wrong with it. User names and
  /// passwords in URLs are refused (RFC 9110, 4.2.4), and never shown: "***" stands for all that
  /// may be one.
  static url parse(std::string_view text);

  /// `host`, or `host:port` unless the port is the scheme's own: what the Host field carries.
  std::string authority() const;
};

/// What percent-encoding leaves alone besides letters, digits and "-._~".
enum class encode_for { component, path };  // path: also "/" and the characters a segment may hold

std::string percent_encode(std::string_view text, encode_for what = encode_for::component);

/// Replaces `out` with `text` decoded. False, with `out` unspecified, if an escape is broken ("%",
/// "%4", "%zz"). `plus_is_space` is the rule of forms and query strings, and of nothing else.
bool percent_decode(std::string_view text, std::string& out, bool plus_is_space = false);

/// The first value of `name` in a query string ("n=1&m=2"), decoded. A name without "=" has the
/// value "". A pair whose escapes are broken counts as absent.
std::optional<std::string> query_value(std::string_view query, std::string_view name);

/// All pairs of a query string in order, decoded; pairs whose escapes are broken are left out.
std::vector<std::pair<std::string, std::string>> query_pairs(std::string_view query);

}  // namespace heddle::http
