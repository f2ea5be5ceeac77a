// SPDX-License-Identifier: MIT
// Bodies of several parts, as they are read: multipart/form-data, multipart/mixed (RFC 2046, 5.1).
//
//   http::part_reader parts(request);
//   while (auto part = co_await parts.next_part()) {
//     if (part->name() == "photo") co_await part->body.save_to(path);
//   }
//
// Writing them: multipart.h.
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/part_limits.h>

#include <optional>
#include <string>
#include <string_view>

namespace heddle::http {

namespace detail {
class parts_core;
}

/// One part. Its body is read while it arrives. It may outlive its reader, but not the next call of
/// next_part(): that skips what is left, and reading the body then throws usage_error.
class part {
 public:
  http::headers headers;
  /// In multipart/form-data the bytes as they came. Elsewhere a Content-Transfer-Encoding (base64,
  /// quoted-printable) and a Content-Encoding are undone.
  body_reader body;

  /// Of the field, as it was sent. "": there is none.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// The name of the file, as it was sent: it may hold "../", a drive or NUL. Nothing: the part is
  /// no file.
  [[nodiscard]] const std::optional<std::string>& raw_filename() const noexcept {
    return raw_filename_;
  }
  /// The last component of that, fit for a directory of the reader's: without slashes of either
  /// kind and without NUL. "": there is none, or it is "." or "..".
  [[nodiscard]] std::string filename() const;
  /// The Content-Type; "text/plain" if there is none.
  [[nodiscard]] std::string_view content_type() const noexcept;

 private:
  friend class part_reader;
  part() = default;

  std::string name_;
  std::optional<std::string> raw_filename_;
};

/// Reads the parts of a body, one after the other. Memory is bounded, whatever their size: by a
/// piece of the body, and the fields of one part.
///
/// What stands before the first boundary and behind the last one is skipped. A part is whole only
/// when its boundary has come: a body that ends before throws.
/// A part that has parts itself is read by a part_reader over its body.
///
/// Cancel  loses nothing: the next call goes on
/// Throws  part_error, which becomes an answer of its status if a handler throws it; what the body
///         throws. All later calls throw the same.
/// Thread-safety  one task at a time, and its parts with it
class part_reader {
 public:
  /// `content_type`: the value of that field. Throws part_error if it is no multipart type, or has
  /// no boundary of 1 to 70 characters.
  part_reader(body_reader body, std::string_view content_type);
  part_reader(body_reader body, std::string_view content_type, part_limits limits);
  /// Of a server's request: its body_stream() and its Content-Type. A type that has no parts is a
  /// part_error of status 415.
  explicit part_reader(request& r);
  part_reader(request& r, part_limits limits);

  /// The next part. Nothing: that was the last one, and the body has been read to its end. Skips
  /// what is left of the part before.
  [[nodiscard]] task<std::optional<part>> next_part();

 private:
  std::shared_ptr<detail::parts_core> core_;
};

}  // namespace heddle::http
