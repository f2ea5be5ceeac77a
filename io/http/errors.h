// SPDX-License-Identifier: MIT
// What can go wrong with a message or an exchange of messages.
//
//   try {
//     co_await client.get(url);
//   } catch (const http::http_error& e) {
//     log(e.what(), e.url(), e.sent() == http::sent_part::nothing ? "may be repeated" : "");
//   }
//
//   http_error (a std::system_error)       code(): an errno, or an http::errc
//     +- protocol_error                    the peer does not speak HTTP/1.1, or breaks its rules
//     |    +- payload_error                a body is broken, or ended early
//     +- connection_lost                   the connection ended before the answer was complete
//     +- connect_error                     no connection came about
//     |    +- proxy_error                  a proxy refused to make one
//     +- redirect_error                    a redirection that is not followed
//     +- response_error                    a status that the caller does not take
//   timed_out (a heddle::timeout_error)    a clock of the client ran out
//
// Errors of TLS have types of their own (tls.h).
#pragma once

#include <heddle/core/errors.h>

#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

namespace heddle::http {

/// Codes of http_error that are no errno.
enum class errc : std::uint8_t {
  protocol = 1,
  broken_body,
  body_too_large,
  connection_lost,
  cannot_connect,
  proxy_refused,
  bad_redirect,
  too_many_redirects,
  status,
};

[[nodiscard]] const std::error_category& http_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), http_category()};
}

}  // namespace heddle::http

template <>
struct std::is_error_code_enum<heddle::http::errc> : std::true_type {};

namespace heddle::http {

/// How much of a request had left when it failed. `nothing`: the server cannot have seen it.
enum class sent_part : std::uint8_t { nothing, head, part, all };

/// Base of the errors below.
class http_error : public std::system_error {
 public:
  http_error(std::error_code code, const std::string& what) : std::system_error(code, what) {}
  /// The URL that was asked for, without user and password. Empty on a server.
  [[nodiscard]] const std::string& url() const noexcept { return url_; }
  [[nodiscard]] sent_part sent() const noexcept { return sent_; }
  /// For who throws it.
  void about(std::string url, sent_part sent) noexcept {
    url_ = std::move(url);
    sent_ = sent;
  }

 private:
  std::string url_;
  sent_part sent_ = sent_part::nothing;
};

/// The peer's message is no HTTP/1.1, or there was none.
class protocol_error : public http_error {
 public:
  explicit protocol_error(const std::string& what) : http_error(errc::protocol, what) {}
  using http_error::http_error;
};

/// A body is broken, ended early, or is larger than a limit.
class payload_error : public protocol_error {
 public:
  explicit payload_error(const std::string& what) : protocol_error(errc::broken_body, what) {}
  using protocol_error::protocol_error;
};

/// The connection ended, or was reset, before the exchange was complete.
class connection_lost : public http_error {
 public:
  explicit connection_lost(const std::string& what) : http_error(errc::connection_lost, what) {}
  using http_error::http_error;
};

/// No connection to the server came about. The text lists each address with its reason.
class connect_error : public http_error {
 public:
  using http_error::http_error;
};

/// The proxy cannot be reached, or does not connect us to the server.
class proxy_error : public connect_error {
 public:
  proxy_error(std::error_code code, const std::string& what, int status = 0)
      : connect_error(code, what), status_(status) {}
  /// What the proxy answered; 0: nothing.
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  int status_;
};

/// A redirection that is not followed: to an address that is none, too often, or with a body that
/// cannot be sent again.
class redirect_error : public http_error {
 public:
  explicit redirect_error(const std::string& what, errc code = errc::bad_redirect)
      : http_error(code, what) {}
};

/// Which clock of a client ran out.
enum class request_phase : std::uint8_t { pool, connect, read, write, total };

/// A time limit of a request has passed. The text says which one, and how far the request had come.
class timed_out : public timeout_error {
 public:
  timed_out(request_phase phase, const std::string& what) : timeout_error(what), phase_(phase) {}
  [[nodiscard]] request_phase phase() const noexcept { return phase_; }

 private:
  request_phase phase_;
};

}  // namespace heddle::http
