// SPDX-License-Identifier: MIT
// Internal to io.
// jetstream: the calls of JetStream's API that a cluster needs. Each is a request over the link.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/cluster/nats_link.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace heddle::cluster::detail {

/// JetStream refuses a call.
class api_error : public std::runtime_error {
 public:
  api_error(int code, const std::string& text) : std::runtime_error(text), code_(code) {}
  [[nodiscard]] int code() const noexcept { return code_; }

 private:
  int code_;
};

/// Numbers of JetStream's errors (err_code).
enum js_error : int {
  js_no_responders = 503,
  js_too_long = 10054,
  js_stream_name_in_use = 10058,
  js_stream_not_found = 10059,
  js_subjects_overlap = 10065,
  js_wrong_last_sequence = 10071,
  js_store_failed = 10077,
  js_consumer_not_found = 10014,
  js_message_not_found = 10037,
};

struct pub_ack {
  std::uint64_t sequence = 0;
  bool duplicate = false;
  int code = 0;  // 0: it is stored; else an err_code, or 503
  std::string text;
};

struct stored_message {
  std::uint64_t sequence = 0;
  std::string subject;
  std::int64_t stored_ns = 0;
  nats_headers headers;
  std::string payload;
};

/// What becomes of a stream that is made.
struct stream_plan {
  std::string name;
  std::string subjects;  // a JSON array
  bool work_queue = false;
  std::uint64_t max_messages = 0;  // 0: no limit
  std::uint64_t max_bytes = 0;     // 0: no limit
  duration max_age = duration::zero();
  std::string republish_from;
  std::string republish_to;
};

struct consumer_state {
  duration ack_wait = duration::zero();
  std::uint64_t pending = 0;
  std::uint64_t unacknowledged = 0;
  bool as_planned = true;
};

/// Every call throws link_lost, timeout_error when the answer does not come within the limit, and
/// api_error.
class jetstream {
 public:
  jetstream(nats_link& link, const options& o) : link_(link), options_(o) {}

  [[nodiscard]] task<pub_ack> publish(std::string subject, std::string headers,
                                      std::string payload);
  /// The last message of a subject, which may have wildcards; none if there is none.
  [[nodiscard]] task<std::optional<stored_message>> last(std::string stream, std::string subject);
  /// False: it was gone.
  [[nodiscard]] task<bool> erase(std::string stream, std::uint64_t sequence);
  /// Drops what matches `subject` and stands before `sequence`.
  [[nodiscard]] task<> purge(std::string stream, std::string subject, std::uint64_t before);
  /// Makes it, or leaves it as it is.
  [[nodiscard]] task<> ensure_stream(stream_plan plan);
  /// Makes a durable consumer, or takes it as it is.
  [[nodiscard]] task<consumer_state> ensure_consumer(std::string stream, std::string durable,
                                                     std::string subject);

 private:
  [[nodiscard]] task<std::string> call(std::string subject, std::string json);

  nats_link& link_;
  const options& options_;
};

}  // namespace heddle::cluster::detail
