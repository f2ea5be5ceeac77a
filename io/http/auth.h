// SPDX-License-Identifier: MIT
// What a client shows to a server, or a proxy, that asks who it is: Basic, Bearer and Digest.
//
//   EXPECT_EQ(http::basic("user", "pass").value(), "Basic dXNlcjpwYXNz");
//   EXPECT_EQ(http::bearer("t").value(), "Bearer t");
//
// Each yields the value of an Authorization (or Proxy-Authorization) field. Digest needs the
// server's challenge first.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/shared.h>
#include <heddle/io/http/challenge.h>
#include <heddle/io/http/message.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace heddle::http {

namespace detail {
class digest_state;
}

/// A user and a password, in the open (RFC 7617): for https.
class basic {
 public:
  /// In UTF-8. Throws bad_value for a user with a colon, and for control characters.
  basic(std::string_view user, std::string_view password);
  [[nodiscard]] const std::string& value() const noexcept { return value_; }

 private:
  std::string value_;
};

/// A token (RFC 6750), or what provides one.
class bearer {
 public:
  explicit bearer(std::string token);
  /// It is asked for each request, by the task that sends it; from all loops at once.
  explicit bearer(std::function<std::string()> provider);
  /// Throws bad_value for a token that is not of the characters of RFC 6750, 2.1; and what the
  /// provider throws.
  [[nodiscard]] std::string value() const;

 private:
  std::string value_;
  std::function<std::string()> provider_;
};

/// A user and a password that never go over the wire (RFC 7616): MD5, SHA-256 and SHA-512-256, also
/// their "-sess" forms; qop auth, or none as in RFC 2069, or auth-int if the server offers nothing
/// else and the body is known.
///
/// A request goes out without credentials first. After the 401, challenged() keeps what the server
/// asks for, and authorize() answers it, for this request and for the later ones in the protection
/// space: those count on (nc=00000002), and need no second 401. A client sends a request again once
/// at most: a second 401 is the answer.
///
/// Copies share what the servers have asked for.
/// Thread-safety  any number of tasks at once
class digest {
 public:
  /// In UTF-8. Throws bad_value for a user with a colon, and for control characters.
  digest(std::string_view user, std::string_view password);

  /// The value of the field for a request. Nothing: no challenge is known for that target.
  /// `origin`   tells servers apart: "http://host:port"
  /// `target`   as in the request line, escapes and all
  /// `body`     nothing: it is not known
  [[nodiscard]] std::optional<std::string> authorize(
      std::string_view origin, const method& m, std::string_view target,
      std::optional<std::string_view> body = std::nullopt) const;
  /// Takes the challenges of a 401 (or 407). True: one of them can be answered, so the request may
  /// be sent again. The first that can be is taken: servers list the best first.
  bool challenged(std::string_view origin, std::span<const std::string_view> fields) const;

 private:
  std::shared_ptr<detail::digest_state> state_;
};

/// One of them, or none.
using auth = std::variant<std::monostate, basic, bearer, digest>;

}  // namespace heddle::http
