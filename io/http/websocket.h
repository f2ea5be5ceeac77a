// SPDX-License-Identifier: MIT
// WebSockets (RFC 6455, RFC 7692), both ends by one class.
//
//   h::task<> chat(http::websocket& ws, http::request&) {        // on a server
//     while (auto m = co_await ws.receive()) co_await ws.send(*m);
//   }
//   server.websocket("/chat", chat);
//   router.websocket("/chat/{room}", [](http::websocket& ws, http::path<std::string> room) ...);
//
//   auto ws = co_await http::connect_websocket("ws://127.0.0.1:8080/chat");      // a client
//   co_await ws.send_text("hello");
//   auto answer = co_await ws.receive();
//   co_await ws.close();
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/websocket_options.h>
#include <heddle/io/stream.h>
#include <heddle/sched/async_generator.h>

#include <concepts>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace heddle::http {

namespace detail {
class ws_core;
struct prepared_message;
struct websocket_access;
}  // namespace detail

/// A message that goes to many: it is encoded once, and compressed at most once.
/// Thread-safety  constant; copies share it
class prepared {
 public:
  /// `compress`: connections that have agreed on compression get a compressed form. It refers to no
  /// other message. Throws bad_value for text that is no UTF-8.
  explicit prepared(const ws_message& m, bool compress = true);

 private:
  friend class websocket;
  friend struct detail::websocket_access;
  std::shared_ptr<const detail::prepared_message> shared_;
};

/// A message that is received piece by piece, by the task that has asked for it. Destroying it
/// drops the rest of the message.
class ws_incoming {
 public:
  ws_incoming(ws_incoming&& other) noexcept;
  ws_incoming& operator=(ws_incoming&& other) noexcept;
  ~ws_incoming();

  [[nodiscard]] ws_kind kind() const noexcept { return kind_; }
  /// The next bytes, as they come. Nothing: the message has ended. Text may be cut inside of a
  /// character.
  /// Cancel    loses nothing
  /// Throws    connection_lost, if the connection ends before the message
  [[nodiscard]] task<std::optional<std::string>> next_chunk();

 private:
  friend class websocket;
  friend struct detail::websocket_access;
  ws_incoming(heddle::detail::counted_ptr<detail::ws_core> core, ws_kind kind) noexcept;

  heddle::detail::counted_ptr<detail::ws_core> core_;
  ws_kind kind_;
};

/// One end of a WebSocket.
///
/// A task of its own reads the connection. So pings are answered and closes are noticed while no
/// task is in receive(), until unread messages fill `receive_buffer`. Pings by `heartbeat` find a
/// peer that is gone.
///
/// Once the connection closes, receive() yields what came before, then nothing; sends throw
/// connection_lost. close_code() and failure() say why.
///
/// Dropping the handle of an open WebSocket closes it with 1001 and does not wait. In a server's
/// handler, returning closes with 1000, throwing with 1011, a cancellation with 1001.
///
/// Cost      Idle: 1.3 KiB with its stream. In a server's handler 5 KiB (on io_uring 7) with the
///           connection's tasks and the request. A message sent: one write, and one frame of a
///           task. A message received: its string.
/// Cancel    A cancelled receive loses nothing. A cancelled send has sent all of its message or
///           nothing of it; only a cancelled send_stream() closes the connection.
/// Thread-safety  Sends, pings and closes from any tasks on any loops: each message arrives whole,
///                those of one task in their order. One task at a time receives. Tasks that it
///                returned may outlive the handle.
///                Until it is accepted, only the handler's own task uses it.
class websocket {
 public:
  websocket() noexcept;
  /// Over a connection whose handshake is done, or that needs none: both ends of a memory_pair(),
  /// say. It is compressed only if `deflate` is set at both ends, with the same values. Throws
  /// bad_value for options out of range, no_running_loop.
  websocket(connection over, ws_side side, ws_options options);
  websocket(connection over, ws_side side) : websocket(std::move(over), side, ws_options()) {}
  websocket(websocket&&) noexcept;
  websocket& operator=(websocket&& other) noexcept;
  ~websocket();

  /// On a server: answers 101, with further fields. The first call of another function does the
  /// same. Before that the handler may refuse: `throw http::status_error(401)`. Bytes that the
  /// client sends meanwhile wait.
  /// Throws    connection_lost, if the client is gone; bad_value for a field of the handshake's own
  void accept(const headers& fields);
  void accept() { accept(headers()); }

  // --- receiving ---

  /// The next message. Nothing: the connection is closed, for whatever reason.
  /// Throws    usage_error, while another task receives
  [[nodiscard]] task<std::optional<ws_message>> receive();
  /// The same for messages of one kind. Throws protocol_error for one of the other kind, which is
  /// dropped.
  [[nodiscard]] task<std::optional<std::string>> receive_text();
  [[nodiscard]] task<std::optional<std::string>> receive_binary();
  /// The next message, once it has begun. `max_message` bounds its sum all the same, and
  /// `receive_buffer` what of it is in memory. Until it has ended or is destroyed, no other task
  /// receives.
  [[nodiscard]] task<std::optional<ws_incoming>> receive_streaming();

  // --- sending ---

  /// Sends, and waits while more than `send_buffer` bytes wait. What can be sent at once is sent at
  /// the call, and is not taken back if the task is dropped.
  /// Throws    bad_value for text that is no UTF-8: nothing is sent; connection_lost
  [[nodiscard]] task<> send_text(std::string_view text, ws_compress how);
  [[nodiscard]] task<> send_text(std::string_view text) {
    return send_text(text, ws_compress::automatic);
  }
  [[nodiscard]] task<> send_binary(std::string_view bytes, ws_compress how);
  [[nodiscard]] task<> send_binary(std::string_view bytes) {
    return send_binary(bytes, ws_compress::automatic);
  }
  [[nodiscard]] task<> send(const ws_message& m);
  [[nodiscard]] task<> send(const prepared& m);
  /// Sends one message in fragments, a piece of the generator each. Other senders wait meanwhile;
  /// pings, pongs and a close pass.
  /// Cancel    closes the connection with 1011, if the message had begun: it cannot be taken back.
  ///           An error of the generator does the same
  [[nodiscard]] task<> send_stream(ws_kind kind, async_generator<std::string> pieces);
  /// Never waits. A message that does not fit beside those that wait is dropped; one that is longer
  /// than `send_buffer` goes when nothing waits.
  /// Throws    bad_value for text that is no UTF-8
  ws_sent try_send(const ws_message& m);
  ws_sent try_send(const prepared& m);

  /// Pings the peer, and yields the time to its pong. A pong answers all pings before it. While
  /// unread messages fill `receive_buffer`, no pong is read.
  /// Throws    connection_lost
  [[nodiscard]] task<duration> ping();

  // --- the end ---

  /// Sends a close frame, and waits until the connection has ended. If the peer does not answer
  /// within `close_timeout`, the connection is dropped. Closing twice is fine. Messages that come
  /// meanwhile can be received, as far as receive_buffer has room.
  /// Cancel    drops the connection
  /// Throws    bad_value at the call, and sends nothing: a code that may not be sent, a reason of
  ///           more than 123 bytes or that is no UTF-8
  [[nodiscard]] task<> close(int code, std::string_view reason);
  [[nodiscard]] task<> close(int code) { return close(code, {}); }
  [[nodiscard]] task<> close() { return close(1000, {}); }
  /// 0 while it is open. The code of the peer's close frame, 1005 if that had none; the code with
  /// which this end has refused the peer's frames; 1006 if the connection ended without either.
  [[nodiscard]] int close_code() const noexcept;
  [[nodiscard]] std::string close_reason() const;
  /// Why it did not end in order: protocol_error, http_error for broken or too long messages,
  /// timeout_error for a silent peer, connection_lost, std::system_error. Null: it did, or it is
  /// open.
  [[nodiscard]] std::exception_ptr failure() const noexcept;
  /// Messages can be sent.
  [[nodiscard]] bool is_open() const noexcept;

  // --- what was agreed on ---

  /// The subprotocol, or "".
  [[nodiscard]] const std::string& protocol() const noexcept;
  [[nodiscard]] bool is_compressed() const noexcept;
  [[nodiscard]] address peer_address() const;
  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(core_); }

 private:
  friend struct detail::websocket_access;
  explicit websocket(heddle::detail::counted_ptr<detail::ws_core> core) noexcept;
  [[nodiscard]] detail::ws_core& use() const;
  static task<std::optional<ws_incoming>> receive_pieces(
      heddle::detail::counted_ptr<detail::ws_core> core);

  heddle::detail::counted_ptr<detail::ws_core> core_;
};

/// What a server calls for a WebSocket. See websocket on how it ends.
using websocket_handler = std::function<task<>(websocket&, request&)>;

/// A handler for a GET route of a server that opens WebSockets there. Requests that are none are
/// answered with 400, 403, 405 or 426. Until the handler accepts it may throw status_error: then
/// the connection goes on as HTTP. When the server stops, open WebSockets are closed with 1001.
/// Throws  bad_value for options out of their ranges
[[nodiscard]] handler websocket_route(websocket_handler h, ws_options options);
[[nodiscard]] inline handler websocket_route(websocket_handler h) {
  return websocket_route(std::move(h), ws_options());
}

namespace detail {

template <class F>
concept plain_websocket_handler = std::convertible_to<F, websocket_handler>;

template <class F, class... Args>
task<> call_websocket(F& f, websocket& ws, request& r, std::tuple<websocket, Args...>*) {
  return f(ws, from_request<Args>::from(r)...);
}

}  // namespace detail

/// The same for a handler with typed arguments behind its websocket&: what extract.h and typed.h
/// make of a request. An argument that cannot be made is answered with 4xx, and opens nothing.
template <class F>
  requires(!detail::plain_websocket_handler<F>)
[[nodiscard]] handler websocket_route(F f, ws_options options) {
  websocket_handler plain = [f = std::move(f)](websocket& ws, request& r) mutable {
    using arguments = typename detail::shape_of<F>::arguments;
    return detail::call_websocket(f, ws, r, static_cast<arguments*>(nullptr));
  };
  return websocket_route(std::move(plain), std::move(options));
}
template <class F>
  requires(!detail::plain_websocket_handler<F>)
[[nodiscard]] handler websocket_route(F f) {
  return websocket_route(std::move(f), ws_options());
}

/// Opens a WebSocket. The URL begins with ws or wss; http and https mean the same.
/// Cancel    closes the connection
/// Throws    handshake_error, with the answer's status, fields and body; bad_value for the URL and
///           the options; timeout_error by open_timeout; redirect_error; what open_connection()
///           throws
[[nodiscard]] task<websocket> connect_websocket(std::string address, ws_options options);
[[nodiscard]] inline task<websocket> connect_websocket(std::string address) {
  return connect_websocket(std::move(address), ws_options());
}

}  // namespace heddle::http
