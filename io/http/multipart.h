// SPDX-License-Identifier: MIT
// Bodies of several parts, as they are sent: multipart/form-data (RFC 7578).
//
//   http::multipart m;
//   m.text("title", "a sunset").file("photo", "/tmp/sunset.jpg");
//   const auto ready = co_await m.ready();
//   co_await client.at(url).header("Content-Type", ready.content_type)
//       .body(http::upload::again(ready.pieces, ready.length)).post();
//
// Reading them: part_reader.h.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/http/message/json_fwd.h>
#include <heddle/sched/async_generator.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::http {

namespace detail {
struct outgoing_part;
}

/// A body that is ready to be sent.
struct multipart_body {
  std::string content_type;             // with the boundary
  std::optional<std::uint64_t> length;  // none: a part of unknown size is among the parts
  /// Begins the body anew each time. A part that can be read once only can be sent once only.
  std::function<async_generator<std::string>()> pieces;
};

/// What a part may say besides its name. "": nothing, or what its kind says.
struct part_options {
  std::string file_name = {};
  std::string content_type = {};
};

/// Parts in order, with a boundary between them that nobody can guess.
///
/// Names and file names go out as browsers send them: raw UTF-8, and %22, %0D and %0A for the three
/// characters that would end them. They never get a "filename*". Parts carry Content-Disposition
/// and Content-Type, and no other field.
/// Throws  each adding call: bad_value for NUL and other control characters in a name, a file name
///         or a type
class multipart {
 public:
  using source = std::function<async_generator<std::string>()>;

  /// With a boundary of 24 random bytes.
  multipart();
  /// `boundary`: 1 to 70 characters of RFC 2046, 5.1.1. Throws bad_value for others. No part may
  /// hold it: for tests.
  explicit multipart(std::string boundary);

  /// A field of a form. It has no Content-Type, as browsers send it: the text is UTF-8.
  multipart& text(std::string name, std::string value);
  multipart& bytes(std::string name, std::string bytes);
  multipart& bytes(std::string name, std::string bytes, part_options options);
  /// A file of this machine, under its own name and with the type of its extension. It is opened
  /// when the body is sent, and read off the loops, 64 KiB at a time.
  multipart& file(std::string name, std::string path);
  multipart& file(std::string name, std::string path, part_options options);
  /// What `from` yields: it is called each time that the body is sent. If it yields more or less
  /// than `size`, sending ends with usage_error.
  multipart& stream(std::string name, source from,
                    std::optional<std::uint64_t> size = std::nullopt);
  multipart& stream(std::string name, source from, std::optional<std::uint64_t> size,
                    part_options options);
  /// A value as application/json. Throws bad_value if it holds text that is not UTF-8.
  multipart& json(std::string name, const json_value& value);

  [[nodiscard]] std::string content_type() const;
  /// The body, as it is now: its length is exact if all sizes are known. Looks at the files for
  /// that, off the loops.
  /// Throws  std::system_error for a file that is not there
  [[nodiscard]] task<multipart_body> ready() const;

 private:
  multipart& add(detail::outgoing_part part);

  std::string boundary_;
  std::vector<std::shared_ptr<const detail::outgoing_part>> parts_;
};

}  // namespace heddle::http
