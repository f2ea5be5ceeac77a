// SPDX-License-Identifier: MIT
// Internal to io.
// nats_parser: what a NATS server sends, cut into events. Bytes may come in any pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace heddle::cluster::detail {

/// A line of the server: INFO JSON, at most this long. In bytes.
inline constexpr std::size_t most_nats_line = 256 * 1024;
/// A message of the server with its headers, unless INFO tells of more. In bytes.
inline constexpr std::size_t most_nats_message = 8 * 1024 * 1024;

/// What came is not the NATS protocol. The connection is of no more use.
class protocol_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class nats_op : std::uint8_t { info, message, ping, pong, ok, error };

struct nats_event {
  nats_op op = nats_op::ok;
  std::uint64_t sid = 0;  // of a message: the subscription
  std::string subject;
  std::string reply;
  std::string headers;  // the block with its first line, or empty
  std::string payload;  // of a message; else what stands behind the word: INFO's JSON, the error
};

/// Cost      one copy of what came, and one of each event
/// Throws    protocol_error. The parser is of no more use then.
/// Bounds    It holds at most one line of most_nats_line, or one message of limit(). What came
///           behind it with the same feed() stands there too.
/// Thread-safety  none
class nats_parser {
 public:
  nats_parser() = default;

  /// Messages longer than this are refused when their line comes. In bytes.
  void set_limit(std::size_t most) noexcept { most_message_ = most; }
  [[nodiscard]] std::size_t limit() const noexcept { return most_message_; }

  void feed(std::string_view bytes);
  /// The next event that has come whole. False: more bytes are needed.
  [[nodiscard]] bool next(nats_event& e);
  /// Bytes that came and are not yet in an event.
  [[nodiscard]] std::size_t buffered() const noexcept { return in_.size() - at_; }

 private:
  [[nodiscard]] bool take_line(std::string_view& line);
  [[nodiscard]] bool take_body(nats_event& e);
  [[nodiscard]] bool begin_message(std::string_view rest, bool with_headers);
  [[nodiscard]] bool event_of(std::string_view line, nats_event& e);

  std::string in_;
  std::size_t at_ = 0;        // where unread bytes begin
  std::size_t searched_ = 0;  // no line's end stands before
  std::size_t most_message_ = most_nats_message;
  bool in_message_ = false;  // the line of a message was read, its bytes are to come
  nats_event head_;          // of that message
  std::size_t header_size_ = 0;
  std::size_t total_size_ = 0;
};

}  // namespace heddle::cluster::detail
