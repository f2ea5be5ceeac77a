// SPDX-License-Identifier: MIT
// Cookies as values: what a server sets, and what a request brings.
//
//   http::cookie c{.name = "sid", .value = "38afes7a8", .path = "/", .secure = true};
//   EXPECT_EQ(c.text(), "sid=38afes7a8; Path=/; Secure");
//   EXPECT_EQ(http::parse_cookies("a=b; c=d").at(1).second, "d");
//
// A client's cookies are kept by a jar (cookie_jar.h).
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

/// When browsers send a cookie with a request that another site has caused. `unset`: the attribute
/// is not there.
enum class same_site : std::uint8_t { unset, lax, strict, none };

/// A cookie, as it is set. The order of the fields is API.
struct cookie {
  std::string name;
  std::string value;
  std::string path = {};                     // "": as the browser derives it from the request
  std::string domain = {};                   // "": the host that sets it, alone
  std::optional<std::int64_t> max_age = {};  // seconds; it counts more than `expires`
  std::optional<std::time_t> expires = {};   // neither: it lasts as long as the browser's session
  bool secure = false;
  bool http_only = false;
  http::same_site same_site = http::same_site::unset;
  bool partitioned = false;

  /// The value of the Set-Cookie field. Throws bad_value for a name that is no token; a value that
  /// is not of the characters of RFC 6265, 4.1.1 (no blank, comma, semicolon, backslash, nor a
  /// quote but around all of it); a path or domain with a semicolon or control character; and where
  /// a "__Secure-" or "__Host-" in front of the name promises what the cookie does not keep.
  [[nodiscard]] std::string text() const;
  /// The one that makes the browser forget it: same name, path and domain, empty and expired.
  [[nodiscard]] cookie deletion() const;
};

/// The pairs of a request's Cookie field, in order. A value loses the quotes around it. A part
/// without "=" or without a name is left out, and hides none of the others. Never throws, but
/// std::bad_alloc.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> parse_cookies(
    std::string_view field);

/// One Cookie field of three sources. A name that the caller's own field has is not taken from the
/// two others, and one of the request's cookies not from the jar. "": there are none.
/// Throws  bad_value for a cookie of the request whose name is no token, or whose value holds a
///         semicolon or a control character
[[nodiscard]] std::string merge_cookies(
    std::string_view callers_field,
    const std::vector<std::pair<std::string, std::string>>& of_request, std::string_view of_jar);

}  // namespace heddle::http
