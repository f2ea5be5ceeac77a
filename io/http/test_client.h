// SPDX-License-Identifier: MIT
// Asks an application without a network: no port, no descriptor, and time may be virtual.
//
//   http::test_client client(app);
//   h::task<http::response> asking = client.get("/u/7");
//   const http::response answer = co_await asking;
//   h::task<> stopping = client.stop();
//   co_await stopping;
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/options.h>
#include <heddle/io/http/router.h>
#include <heddle/io/http/server_stats.h>
#include <heddle/io/stream.h>

#include <string>

namespace heddle::http {

namespace detail {
struct test_site;
}

/// An application that runs as in a server: contexts, middlewares, limits, time-outs, pipelining.
/// Each request goes over a connection of its own, through memory, and as bytes.
/// Lifetime  It must outlive the tasks that it returned. Without stop() the contexts do not exit.
/// Thread-safety  requests from any task; start() and stop() once each, and not beside each other.
///                The first request starts what start() has not.
class test_client {
 public:
  explicit test_client(router app);
  test_client(router app, server_options options);
  test_client(test_client&&) noexcept;
  test_client& operator=(test_client&&) noexcept;
  ~test_client();

  /// Enters the contexts. Throws what make_application and the contexts throw, as server::start().
  [[nodiscard]] task<> start();
  [[nodiscard]] task<response> get(std::string target);
  [[nodiscard]] task<response> post(std::string target, std::string body);
  /// Any request. A Host of "test" is added, unless `fields` has one. Yields the answer as it came:
  /// a coding is not undone, a redirection not followed.
  /// Throws  connection_lost if the server ends the connection without a whole answer;
  ///         protocol_error for an answer that is none
  /// Cancel  resets the connection: for the handler the client is gone
  [[nodiscard]] task<response> send(method m, std::string target, headers fields, std::string body);
  /// A connection to the application, to be used by hand.
  [[nodiscard]] connection connect();
  /// As server::stop().
  [[nodiscard]] task<> stop(any_duration grace = std::chrono::seconds(5));
  [[nodiscard]] server_stats stats() const;

 private:
  heddle::detail::owned<detail::test_site> site_;
};

}  // namespace heddle::http
