// SPDX-License-Identifier: MIT
// Server-sent events (WHATWG HTML, 9.2): as text, and out of a body.
//
//   http::sse_event e;
//   e.data = "one\ntwo";
//   EXPECT_EQ(e.text(), "data: one\ndata: two\n\n");
//
//   http::event_reader events(std::move(body));
//   while (auto event = co_await events.next()) use(event->data);
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/task.h>
#include <heddle/io/http/body_reader.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace heddle::http {

/// One event. The order of the fields is API.
struct sse_event {
  std::string data;
  std::string type = "message";
  /// As sent: the id of this event; "" leaves the last one. As read: the last id that came.
  std::string id = {};
  /// How long the client shall wait before it comes back. As read: if it came with this event.
  std::optional<std::chrono::milliseconds> retry = {};

  /// The lines of the event, and the empty one that ends it. Throws bad_value for a type or an id
  /// with CR, LF or NUL, and for a negative retry.
  [[nodiscard]] std::string text() const;
};

/// A comment, which no client shows: it keeps connections alive. "": an empty one. Line ends in it
/// begin a comment line of their own.
[[nodiscard]] std::string sse_comment(std::string_view text);

/// Takes events out of bytes, however they were cut. No socket and no clock.
/// Throws  payload_error, which names the limit, for an event of more than `max_event` bytes
class event_parser {
 public:
  static constexpr std::size_t default_max_event = std::size_t{1} << 20;  // 1 MiB

  event_parser() noexcept = default;
  explicit event_parser(std::size_t max_event) noexcept : max_event_(max_event) {}

  /// Takes bytes up to the end of one event, or all, and says how many. None while an event waits
  /// for take().
  std::size_t feed(std::string_view bytes);
  /// The event that is complete. One that its stream has left unfinished never is.
  [[nodiscard]] std::optional<sse_event> take() noexcept;

  /// For the stream that follows another one: the last id of that one holds until another comes.
  void resume(std::string last_id) {
    id_ = last_id;
    last_id_ = std::move(last_id);
  }
  /// The last id that came, for Last-Event-ID when the client comes back.
  [[nodiscard]] const std::string& last_id() const noexcept { return last_id_; }
  /// The last retry that came.
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry() const noexcept { return retry_; }

 private:
  void end_line();
  void take_field(std::string_view name, std::string_view value);
  void dispatch();
  [[noreturn]] void fail();

  std::size_t max_event_ = default_max_event;
  std::string line_;  // the present one, as far as it came
  bool begun_ = false;
  bool after_cr_ = false;  // an LF now belongs to the line's end before
  bool has_data_ = false;
  bool broken_ = false;  // an event was too large
  std::string data_;
  std::string type_;
  std::string id_;  // becomes last_id_ at the end of its event
  std::string last_id_;
  std::optional<std::chrono::milliseconds> retry_;
  std::optional<std::chrono::milliseconds> retry_of_event_;
  std::optional<sse_event> ready_;
};

/// Reads events from a body while they arrive.
/// Cancel  loses nothing: the next call goes on
/// Throws  as event_parser, and what the body throws
/// Thread-safety  one task at a time
class event_reader {
 public:
  explicit event_reader(body_reader body) noexcept : body_(std::move(body)) {}
  event_reader(body_reader body, std::size_t max_event) noexcept
      : body_(std::move(body)), parser_(max_event) {}

  /// The next event, as soon as it is complete. Nothing: the stream has ended.
  [[nodiscard]] task<std::optional<sse_event>> next();
  void resume(std::string last_id) { parser_.resume(std::move(last_id)); }
  [[nodiscard]] const std::string& last_id() const noexcept { return parser_.last_id(); }
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry() const noexcept {
    return parser_.retry();
  }

 private:
  body_reader body_;
  event_parser parser_;
  std::string rest_;    // of the last piece: what stands behind the event that was yielded
  std::size_t at_ = 0;  // so much of it is parsed
};

}  // namespace heddle::http
