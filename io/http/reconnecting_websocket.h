// SPDX-License-Identifier: MIT
// A client that comes back: each connection is a new WebSocket, which its user sees.
//
//   http::reconnecting_websocket feed("wss://example.org/feed");
//   for (;;) {
//     auto ws = co_await feed.next();              // connected, or connected again
//     co_await ws.send_text("subscribe");
//     while (auto m = co_await ws.receive()) use(*m);
//   }
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/websocket.h>

#include <cstdint>
#include <exception>
#include <string>

namespace heddle::http {

struct reconnect_options {
  /// The wait before the second try. It doubles with each that fails, up to `most_wait`. A half of
  /// each wait is chance, so that the clients of a server that restarts do not come at once.
  any_duration first_wait = std::chrono::seconds(1);
  any_duration most_wait = std::chrono::seconds(30);
  /// A connection that lasted so long begins anew with `first_wait`.
  any_duration good_after = std::chrono::seconds(10);
};

/// Thread-safety  one task at a time
class reconnecting_websocket {
 public:
  explicit reconnecting_websocket(std::string address) : reconnecting_websocket(address, {}, {}) {}
  reconnecting_websocket(std::string address, ws_options options, reconnect_options waits);
  /// The same with a way of connecting of the caller's.
  reconnecting_websocket(std::function<task<websocket>()> connect, reconnect_options waits);

  /// Connects, and waits between tries that fail. Each call makes a new connection: what was
  /// subscribed to or agreed on before is not known to it. The first call does not wait; a later
  /// one waits if the last connection was short.
  /// Cancel    ends the try
  /// Throws    handshake_error for an answer of 400 to 499, but 408, 425 and 429: to ask again
  ///           would change nothing; bad_value and certificate errors. All else is tried again
  [[nodiscard]] task<websocket> next();
  /// Tries that failed since the last connection.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }
  /// Connections so far.
  [[nodiscard]] std::uint64_t connections() const noexcept { return connections_; }
  /// Why the last try failed. Null: it did not.
  [[nodiscard]] std::exception_ptr last_failure() const noexcept { return last_failure_; }

 private:
  [[nodiscard]] duration wait_before_next() noexcept;

  std::function<task<websocket>()> connect_;
  reconnect_options waits_;
  std::uint64_t failures_ = 0;
  std::uint64_t connections_ = 0;
  duration wait_{};  // the last one, without its chance
  time_point connected_at_{};
  std::exception_ptr last_failure_;
};

}  // namespace heddle::http
