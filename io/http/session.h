// SPDX-License-Identifier: MIT
// An HTTP/1.1 client.
//
//   http::session client;
//   const auto got = co_await client.get(local(s.port(), "/hello?name=you%21"));
//   EXPECT_EQ(got.text(), "hello you!");
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/task.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/message/json_fwd.h>
#include <heddle/io/http/options.h>

#include <cstddef>
#include <string>

namespace heddle::http {

namespace detail {
class connection_pool;
}

/// An answer, read to its end.
struct client_response {
  int status = 0;
  http::headers headers;
  std::string body;

  /// 200 to 299.
  [[nodiscard]] bool ok() const noexcept { return status >= 200 && status < 300; }
  [[nodiscard]] const std::string& text() const noexcept { return body; }
  /// The body parsed. Include <nlohmann/json.hpp> to use it. Throws protocol_error if the body is
  /// no JSON.
  [[nodiscard]] json_value json() const;
};

/// An HTTP/1.1 client that keeps its connections for the next request.
///
/// Throws    bad_value for a URL that it cannot use; std::system_error if the server cannot be
///           reached or the connection breaks; tls_error and what derives from it (tls.h) for
///           https; timeout_error; protocol_error.
///           A status is an answer and no error, whichever it is.
/// Keeps     a connection whose server has got all of the request, and has sent all of its answer
///           and nothing more. Before the connection is used again it is looked at. If anything
///           came meanwhile (an end, an error, bytes that nobody asked for), it is reset, and
///           another one is used.
/// Retries   once, on a new connection, if the server turns out to have closed a kept one. That
///           holds for requests that may be repeated: GET, HEAD, PUT, DELETE, OPTIONS, TRACE. A
///           POST is never repeated.
/// Cancel    ends the request and resets its connection. What was not sent is dropped.
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

  /// How many connections wait for the next request.
  [[nodiscard]] std::size_t kept_connections() const;
  /// Closes these.
  void close_kept();

 private:
  heddle::detail::counted_ptr<detail::connection_pool> pool_;
};

}  // namespace heddle::http
