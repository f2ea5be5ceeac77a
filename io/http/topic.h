// SPDX-License-Identifier: MIT
// A topic: what is published on it goes to all WebSockets that subscribe to it.
//
//   http::topic news;
//   server.websocket("/news", [&](http::websocket& ws, http::request&) -> h::task<> {
//     const auto mine = news.subscribe(ws);
//     while (auto m = co_await ws.receive()) co_await news.publish(*m);
//   });
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/http/websocket.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace heddle::http {

namespace detail {
struct topic_state;
}

/// What becomes of a message whose receiver does not take what it was sent before.
///   skip         the receiver does not get it
///   drop_oldest  it waits in a line; the oldest message in a full line is dropped
///   close        the receiver is closed with 1013
enum class slow_receiver : std::uint8_t { skip, drop_oldest, close };

struct topic_options {
  slow_receiver slow = slow_receiver::skip;
  /// Messages in the line of one receiver, beside what its `send_buffer` holds. At least 1.
  std::size_t line = 64;
  /// Messages are compressed, once, for receivers that have agreed on it.
  bool compress = true;
};

/// What publish() has done.
struct published {
  std::size_t reached = 0;  // sent, or waiting
  std::size_t skipped = 0;  // too slow: the policy was applied
};

/// A WebSocket stays subscribed while this lives. It may outlive the topic and the WebSocket.
class subscription {
 public:
  subscription() noexcept = default;
  subscription(subscription&& other) noexcept;
  subscription& operator=(subscription&& other) noexcept;
  ~subscription();
  void cancel() noexcept;

 private:
  friend class topic;
  subscription(std::weak_ptr<detail::topic_state> to, std::uint64_t number) noexcept
      : to_(std::move(to)), number_(number) {}

  std::weak_ptr<detail::topic_state> to_;
  std::uint64_t number_ = 0;
};

/// A copy is a handle of the same topic.
/// Cost      A message is encoded once, whatever the number of receivers. Each receiver costs a
///           write of its own.
/// Thread-safety  everything, from any loop
class topic {
 public:
  topic() : topic(topic_options()) {}
  /// Throws bad_value for a line of 0.
  explicit topic(const topic_options& options);

  /// Opens a WebSocket that is only offered. Subscribing twice means getting everything twice.
  /// Throws    usage_error for an empty websocket; as websocket::accept()
  [[nodiscard]] subscription subscribe(websocket& ws);
  /// Sends to all that are subscribed now. It waits for none of them; between a few hundred it lets
  /// other tasks run. A receiver gets the messages of one task in their order, if that task awaits
  /// each publish().
  /// Cancel    some have got it, and some have not
  /// Throws    bad_value at the call for text that is no UTF-8
  [[nodiscard]] task<published> publish(const ws_message& m);
  [[nodiscard]] task<published> publish(prepared m);
  [[nodiscard]] std::size_t subscribers() const noexcept;

 private:
  std::shared_ptr<detail::topic_state> state_;
};

}  // namespace heddle::http
