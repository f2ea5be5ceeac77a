// SPDX-License-Identifier: MIT
// Conditional requests (RFC 9110, 13): a client says for which state of a resource its request is.
//
//   http::resource_state now;
//   now.etag = "\"v1\"";
//   if (auto refused = http::refused_by_condition(q, now)) return std::move(*refused);
//
// file_root asks the conditions of its files by itself. The middleware conditional() asks those of
// GET and HEAD for any handler. A handler that changes a resource asks before it does so.
// Thread-safety  functions of values
#pragma once

#include <heddle/io/http/message.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heddle::http {

/// What the server knows of a resource before it answers.
struct resource_state {
  bool exists = true;  // there is something at that path now
  /// As it stands in the field ETag, with its quotes: "\"v7\"", or "W/\"v7\"". "": it has none.
  std::string etag = {};
  /// Seconds since 1970. None: the time is not known.
  std::optional<std::int64_t> modified = {};
};

enum class condition : std::uint8_t {
  holds,         // the request is done
  not_modified,  // 304: the client has this state already
  failed,        // 412: the request was meant for another state
};

/// Asks If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of RFC
/// 9110, 13.2.2. If-Match compares strongly, so no weak tag matches; If-None-Match compares weakly.
/// A condition by a tag makes the one by a date void. A date that cannot be read is ignored, and so
/// is a date in a request for something whose time is not known. If-Modified-Since is for GET and
/// HEAD alone; If-None-Match that matches is `failed` for other methods.
[[nodiscard]] condition check_conditions(const request& r, const resource_state& now);

/// The answer if the condition does not hold: 304 with ETag and Last-Modified, or 412. Nothing: the
/// request is to be done.
[[nodiscard]] std::optional<response> refused_by_condition(const request& r,
                                                           const resource_state& now);

/// True if there is no If-Range, or it names exactly this state: then a Range counts. A tag is
/// compared strongly, a date for equality (RFC 9110, 13.1.5).
[[nodiscard]] bool range_applies(const request& r, const resource_state& now);

/// What a Range field asks of a body of that size. `whole` also if it asks for something else than
/// one range of bytes.
struct byte_range {
  enum class verdict { whole, part, unsatisfiable } is = verdict::whole;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
byte_range parse_range(std::string_view field, std::uint64_t size) noexcept;

}  // namespace heddle::http
