// SPDX-License-Identifier: MIT
// What a WebSocket carries, and what it can be set to.
//
//   http::ws_options o;
//   o.protocols = {"chat.v2", "chat.v1"};
//   o.max_message = 64 * 1024;
//   auto ws = co_await http::connect_websocket("wss://example.org/chat", o);
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message.h>
#include <heddle/io/tls_context.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace heddle::http {

/// Text is UTF-8, and is checked on both ways. Binary is any bytes.
enum class ws_kind : std::uint8_t { text = 1, binary = 2 };

struct ws_message {
  ws_kind kind = ws_kind::text;
  std::string data;

  [[nodiscard]] bool is_text() const noexcept { return kind == ws_kind::text; }
};

/// The two ends of a WebSocket. A client masks what it sends.
enum class ws_side : std::uint8_t { client, server };

/// Compression of messages, permessage-deflate (RFC 7692). It is used if both ends want it.
/// Cost      Memory of a connection, once it has sent and received compressed messages:
///           2^(window + 2) + 2^(memory + 9) bytes to send, 2^window and 7 KiB to receive. By
///           default 43 KiB. Without takeover nothing between two messages.
struct ws_deflate {
  /// How far back a message may refer, as a power of two: 9 to 15.
  int window = 12;
  /// The memory level of zlib's compressor: 1 to 9.
  int memory = 5;
  /// Messages may refer to messages before them. They get smaller, and both ends keep memory.
  bool takeover = true;
  /// Messages of fewer bytes are sent as they are.
  std::size_t threshold = 256;
};

/// The order of the fields is API: fields are appended, never reordered.
struct ws_options {
  /// A peer that was silent for so long is pinged. If it is silent for half as long again, the
  /// connection ends: code 1006, and failure() is a timeout_error. It works while nobody receives.
  std::optional<any_duration> heartbeat = std::chrono::seconds(20);
  /// A peer that was silent for so long, and did not answer a ping at half that time, is closed
  /// with 1001.
  std::optional<any_duration> idle = {};
  /// So long after its beginning the connection is closed with 1001.
  std::optional<any_duration> max_lifetime = {};
  /// For the handshake of closing. Then the connection is dropped.
  any_duration close_timeout = std::chrono::seconds(10);
  /// The greatest message that is received, in bytes, inflated. A greater one ends the connection
  /// with 1009, before it is stored.
  std::size_t max_message = std::size_t{4} << 20;
  /// So many bytes of messages wait for receive(). Then the peer is not read from any more. A
  /// message that is waited for may be longer.
  std::size_t receive_buffer = 64 * 1024;
  /// So many bytes wait to be sent; then a sender waits. try_send() refuses.
  std::size_t send_buffer = 64 * 1024;
  /// std::nullopt: messages are not compressed.
  std::optional<ws_deflate> deflate = ws_deflate();
  /// Subprotocols. A client offers them in this order. A server takes the first that the client
  /// offers and that is in this list.
  std::vector<std::string> protocols = {};

  // --- servers only ---

  /// The origins from which browsers may connect ("https://example.org"). Empty: any. A request
  /// without an Origin comes from no browser, and is let in.
  std::vector<std::string> origins = {};

  // --- clients only ---

  /// Sent with the request: Authorization, Cookie, Origin and the like.
  http::headers headers = {};
  /// From the call to the open WebSocket, redirections included. std::nullopt: no limit.
  std::optional<any_duration> open_timeout = std::chrono::seconds(30);
  /// So many redirections are followed. None leads from wss to ws.
  unsigned redirects = 10;
  /// For wss. Empty: a client that trusts the system's authorities.
  tls_context tls = {};
};

/// Whether a message is compressed, where both ends have agreed on it: from `threshold` bytes on,
/// or as told.
enum class ws_compress : std::uint8_t { automatic, never, always };

/// What try_send() has done with a message.
///   sent    the kernel has it
///   queued  it waits in the send buffer, and goes when the peer takes it
///   full    it does not fit into send_buffer: dropped
///   closed  the connection is closing or over: dropped
enum class [[nodiscard]] ws_sent : std::uint8_t { sent, queued, full, closed };

/// The other end does not agree to a WebSocket: its answer, as far as there is one.
class handshake_error : public protocol_error {
 public:
  handshake_error(const std::string& what, int status, http::headers fields, std::string body)
      : protocol_error(what), status_(status), fields_(std::move(fields)), body_(std::move(body)) {}
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const http::headers& fields() const noexcept { return fields_; }
  /// The first kilobyte of it.
  [[nodiscard]] const std::string& body() const noexcept { return body_; }

 private:
  int status_;
  http::headers fields_;
  std::string body_;
};

}  // namespace heddle::http
