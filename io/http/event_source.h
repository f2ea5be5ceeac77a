// SPDX-License-Identifier: MIT
// A stream of events that comes back by itself when its connection ends.
//
//   http::event_source events(client, "https://example.org/news");
//   while (auto event = co_await events.next()) use(event->data);
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/events.h>

#include <cstddef>
#include <exception>
#include <optional>
#include <string>

namespace heddle::http {

class session;

/// The head of an answer, and its body, as far as an event_source needs them.
struct event_answer {
  int status = 0;
  std::string content_type;
  body_reader body;
};

/// The order of the fields is API.
struct event_source_options {
  std::size_t max_event = event_parser::default_max_event;
  /// From the end of a connection to the next try, until the server says another time (`retry`).
  any_duration retry = std::chrono::seconds(3);
  /// Tries that fail one after the other are twice as far apart each time, up to this. No time that
  /// the server says is longer either. (`retry` may be.)
  any_duration most_retry = std::chrono::seconds(60);
  /// So many tries may fail one after the other; then the error of the last one is thrown.
  std::size_t tries = 1'000'000;
};

/// Reads events over as many connections as it takes (WHATWG HTML, 9.2.3). After the end of one,
/// and after an error of it, it waits and comes back, with the last id that came. So also after a
/// status of 500 and above. A status of 204 ends it.
///
/// Cancel  loses no event: the next call goes on. A wait between two connections begins anew.
/// Throws  payload_error for an answer that is no event stream, or an event of more than max_event;
///         http_error with errc::status for any other status; what `open` throws, unless that is a
///         std::system_error or a timeout_error: those are tries that failed
/// Thread-safety  one task at a time
class event_source {
 public:
  /// Asks the server. The argument is the value of Last-Event-ID; "": the field is left out.
  using opener = std::function<task<event_answer>(std::string last_id)>;

  explicit event_source(opener open);
  event_source(opener open, event_source_options options);
  /// Asks by the session, which outlives this object: with its fields, credentials, proxies and
  /// redirections. No total time holds; timeouts::read does, from one piece to the next. Throws
  /// bad_value for a URL that cannot be used.
  event_source(session& by, std::string url);
  event_source(session& by, std::string url, event_source_options options);

  /// The next event. Nothing: the server has said that there are no more.
  [[nodiscard]] task<std::optional<sse_event>> next();
  [[nodiscard]] const std::string& last_id() const noexcept { return last_id_; }
  /// How many connections have been opened.
  [[nodiscard]] std::size_t connections() const noexcept { return connections_; }

 private:
  task<bool> connect();
  task<bool> try_once();
  void lost(const std::exception_ptr& why);
  [[nodiscard]] std::chrono::nanoseconds pause() const noexcept;

  opener open_;
  event_source_options options_;
  std::optional<event_reader> events_;  // of the present connection
  std::string last_id_;
  std::chrono::nanoseconds retry_;
  std::size_t failures_ = 0;  // one after the other
  std::size_t connections_ = 0;
  bool waits_ = false;  // there was a connection, or a try
  bool fatal_ = false;
  bool ended_ = false;
};

}  // namespace heddle::http
