// SPDX-License-Identifier: MIT
// URLs taken apart, and percent-encoding. Free functions of text, for any thread.
//
//   const auto u = url::parse("HTTP://LocalHost:8080/a%20b?n=1&m=2#top");
//   EXPECT_EQ(u.host, "localhost");
//   EXPECT_EQ(u.target, "/a%20b?n=1&m=2");
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

/// An absolute URL, taken apart. `target` is what goes into the request line: path and query, still
/// encoded. A fragment ("#top") is for the client alone, and is dropped.
struct url {
  std::string scheme;      // "http" or "https", lower case
  std::string host;        // lower case; an IPv6 address stands without its brackets
  std::uint16_t port = 0;  // 80 or 443 when the text names none
  std::string target;      // never empty: "/" at least

  /// Throws bad_value, which names the text and what is wrong with it. User names and passwords in
  /// URLs are refused (RFC 9110, 4.2.4), and never shown: "***" stands for all that may be one. A
  /// host that looks like a number must be four decimal ones ("127.0.0.1"): other spellings of an
  /// address (2130706433, 127.1, 0x7f.1) would get past a filter before us.
  static url parse(std::string_view text);

  /// What the Host field carries: `host`, or `host:port` if the port is not the scheme's own.
  std::string authority() const;
};

/// A URL as people write it, made fit for url::parse. Spaces, quotes, angle brackets, other bytes
/// that no URL has, and non-ASCII in path, query and fragment are percent-encoded. A "%" that
/// begins no escape becomes "%25". What is encoded already stays as it is, byte for byte. Throws
/// bad_value for control characters, and for a NUL.
std::string encode_url(std::string_view text);

/// The URL that `reference` means where `base`, an absolute URL, is the current one (RFC 3986,
/// 5.2). `reference` may be absolute, begin with "//", "/", "?" or "#", or be a relative path.
/// Segments "." and ".." go away, also as "%2e". Illegal bytes are encoded as by encode_url. A
/// fragment of `base` goes on unless `reference` has one. Throws bad_value as encode_url.
std::string resolve_url(std::string_view base, std::string_view reference);

/// What stands before the "@" of a URL's host, decoded.
struct url_user {
  std::string name;
  std::string password;
};
/// Takes "user:password@" out of a URL. Nothing: there is none. Throws bad_value for a broken
/// escape.
std::optional<url_user> take_user(std::string& text);

/// Percent-encoding leaves letters, digits and "-._~" as they are. In a path also "/" and the other
/// characters that a segment may hold.
enum class encode_for { component, path };

std::string percent_encode(std::string_view text, encode_for what = encode_for::component);

/// Replaces `out` with `text` decoded. False if an escape is broken ("%", "%4", "%zz"); then `out`
/// is unspecified. `plus_is_space` is the rule of forms and query strings, and of nothing else.
bool percent_decode(std::string_view text, std::string& out, bool plus_is_space = false);

/// The first value of `name` in a query string ("n=1&m=2"), decoded. A name without "=" has the
/// value "". A pair whose escapes are broken counts as absent.
std::optional<std::string> query_value(std::string_view query, std::string_view name);

/// All pairs of a query string in order, decoded. Pairs whose escapes are broken are left out.
std::vector<std::pair<std::string, std::string>> query_pairs(std::string_view query);

}  // namespace heddle::http
