// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/message/json_fwd.h>
#include <heddle/io/http/message/parser.h>

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace heddle::http {

namespace detail {
class connection_pool;
}

/// The server answered with what is no HTTP/1.1, or with nothing.
class protocol_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What came back, all of it read.
struct client_response {
  int status = 0;
  http::headers headers;
  std::string body;

  /// 200 to 299.
  [[nodiscard]] bool ok() const noexcept { return status >= 200 && status < 300; }
  [[nodiscard]] const std::string& text() const noexcept { return body; }
  /// The body parsed; include <nlohmann/json.hpp> to use it. Throws protocol_error if it is no
  /// JSON.
  [[nodiscard]] json_value json() const;
};

/// The order of the fields is API: fields are appended, never reordered.
struct session_options {
  /// For one request from its call to its last byte; std::nullopt: none.
  std::optional<any_duration> timeout = std::chrono::minutes(5);
  /// What an answer may cost.
  http::limits limits = {.header_count = 200, .body_bytes = 64 * 1024 * 1024};
  /// Connections kept for the next request: so many for each host, for so long. A timer closes them
  /// then, whether their host is asked again or not.
  std::size_t keep = 16;
  any_duration keep_for = std::chrono::seconds(15);
  /// Sent with every request that does not bring a field of that name.
  http::headers headers = {};
};

struct request_options {
  http::headers headers = {};
  std::string body = {};
  media_type content_type = {};  // of the body, unless `headers` says it
  std::optional<any_duration> timeout = {};
};

/// An HTTP/1.1 client that keeps its connections.
///
///     http::session client;
///     auto answer = co_await client.get("http://localhost:8080/json");
///     std::cout << answer.status << " " << answer.text();
///
/// Throws    bad_value for a URL it cannot use (https is none of its kind yet), std::system_error
/// when the server cannot be reached or the
///           connection breaks, timeout_error, protocol_error. Any status is an answer and no
///           error.
/// Keeps     a connection whose server has all of the request and has sent all of its answer and
///           no more. Before it is used again it is looked at: if anything came meanwhile (an end,
///           an error, an answer that nobody asked for), it is reset and another one is used.
/// Retries   a kept connection may turn out to have been closed by the server; then GET, HEAD and
/// other requests that may be repeated are
///           repeated once on a new one. A POST is never repeated.
/// Cancel    ends the request and resets its connection; what was not sent is dropped.
/// Thread-safety  any number of requests at a time, on any loops.
class session {
 public:
  session();
  explicit session(session_options options);
  session(session&&) noexcept;
  session& operator=(session&&) noexcept;
  ~session();

  // Overloads and not default arguments: g++ 12 miscompiles an aggregate temporary inside a
  // co_await expression.
  [[nodiscard]] task<client_response> get(std::string url);
  [[nodiscard]] task<client_response> get(std::string url, request_options options);
  [[nodiscard]] task<client_response> head(std::string url);
  [[nodiscard]] task<client_response> head(std::string url, request_options options);
  [[nodiscard]] task<client_response> post(std::string url, std::string body);
  [[nodiscard]] task<client_response> post(std::string url, std::string body,
                                           request_options options);
  [[nodiscard]] task<client_response> request(method m, std::string url);
  [[nodiscard]] task<client_response> request(method m, std::string url, request_options options);

  /// Connections that wait for the next request.
  [[nodiscard]] std::size_t kept_connections() const;
  /// Closes them.
  void close_kept();

 private:
  heddle::detail::counted_ptr<detail::connection_pool> pool_;
};

}  // namespace heddle::http
