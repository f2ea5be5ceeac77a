// SPDX-License-Identifier: MIT
// An HTTP/1.1 client.
//
//   http::session client;
//   const auto got = co_await client.get(local(s.port(), "/hello?name=you%21"));
//   EXPECT_EQ(got.text(), "hello you!");
//
// What a request needs beside its URL is told to a request_builder, which at() begins.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/task.h>
#include <heddle/io/http/client_response.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/options.h>
#include <heddle/io/http/request_builder.h>

#include <cstddef>
#include <string>

namespace heddle::http {

namespace detail {
class connection_pool;
}

/// An HTTP/1.1 client that keeps its connections for the next request.
///
/// Throws    bad_value for a URL that it cannot use; what errors.h lists: connect_error if the
///           server cannot be reached, connection_lost, protocol_error, payload_error,
///           redirect_error, timed_out; tls_error and what derives from it (tls.h) for https;
///           usage_error after close(). A status is an answer and no error, whichever it is, unless
///           session_options::check_status says so.
/// Redirects are followed (session_options::redirects), but for HEAD. A POST becomes a GET by 301,
///           302 and 303, as in browsers. Another scheme, host or port never gets the fields
///           Authorization, Cookie and Proxy-Authorization, also if a later hop leads back.
/// Waits     for a connection, if as many are open as pool_options allow: in order of arrival.
/// Keeps     a connection whose server has got all of the request, and has sent all of its answer
///           and nothing more. Before the connection is used again it is looked at. If anything
///           came meanwhile (an end, an error, bytes that nobody asked for), it is reset, and
///           another one is used.
/// Retries   once, on a new connection, if the server turns out to have closed a kept one. That
///           holds for requests that may be repeated: GET, HEAD, PUT, DELETE, OPTIONS, TRACE. A
///           POST is never repeated.
/// Cancel    ends the request and resets its connection. What was not sent is dropped. Its place
///           in the pool goes to the request that has waited longest.
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
  //
  // These take a URL as it stands on the wire, and refuse one with spaces or non-ASCII. at()
  // encodes.
  [[nodiscard]] task<client_response> get(std::string url);
  [[nodiscard]] task<client_response> get(std::string url, request_options options);
  [[nodiscard]] task<client_response> head(std::string url);
  [[nodiscard]] task<client_response> head(std::string url, request_options options);
  [[nodiscard]] task<client_response> post(std::string url, std::string body);
  [[nodiscard]] task<client_response> post(std::string url, std::string body,
                                           request_options options);
  [[nodiscard]] task<client_response> put(std::string url, std::string body);
  [[nodiscard]] task<client_response> put(std::string url, std::string body,
                                          request_options options);
  [[nodiscard]] task<client_response> patch(std::string url, std::string body);
  [[nodiscard]] task<client_response> patch(std::string url, std::string body,
                                            request_options options);
  [[nodiscard]] task<client_response> delete_(std::string url);
  [[nodiscard]] task<client_response> delete_(std::string url, request_options options);
  [[nodiscard]] task<client_response> options(std::string url);
  [[nodiscard]] task<client_response> options(std::string url, request_options options);
  [[nodiscard]] task<client_response> request(method m, std::string url);
  [[nodiscard]] task<client_response> request(method m, std::string url, request_options options);

  /// Begins a request of `url`, which is resolved against session_options::base_url. What no URL
  /// may hold is percent-encoded; what is encoded stays as it is, byte for byte. A URL of ws or wss
  /// is for request_builder::websocket(). Throws bad_value for a URL that cannot be used;
  /// usage_error after close().
  [[nodiscard]] request_builder at(std::string url);

  /// Closes the kept connections, and refuses requests from now on (usage_error). Requests that
  /// wait for a connection fail; those that are under way go on. A second call does nothing. The
  /// destructor does the same.
  void close() noexcept;
  /// How many connections are open, the kept ones too.
  [[nodiscard]] std::size_t open_connections() const;
  /// How many connections wait for the next request.
  [[nodiscard]] std::size_t kept_connections() const;
  /// Closes these.
  void close_kept();

 private:
  [[nodiscard]] detail::connection_pool& pool() const;

  heddle::detail::counted_ptr<detail::connection_pool> pool_;
};

}  // namespace heddle::http
