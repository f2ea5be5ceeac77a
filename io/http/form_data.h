// SPDX-License-Identifier: MIT
// A whole form, as it was received: its fields, and its files, of which the large ones lie on disk.
//
//   auto form = co_await http::read_form(request);
//   const auto title = form.fields.get("title");
//   for (const auto& file : form.files) co_await file.save_to(directory + "/" + file.filename());
//
// part_reader.h reads the parts one by one, and keeps none.
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/form.h>
#include <heddle/io/http/part_limits.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::http {

struct request;

namespace detail {
struct kept_file;
}

/// The order of the fields is API. What exceeds one is refused with part_error, whose status is
/// 413.
struct form_limits {
  part_limits parts = {};
  /// The value of a field that is no file.
  std::size_t field_bytes = std::size_t{1} << 20;
  /// A larger file lies on disk.
  std::size_t spool_bytes = std::size_t{1} << 20;
  /// Fields, and files in memory, together. A file beyond it lies on disk, a field is refused.
  std::size_t memory_bytes = std::size_t{8} << 20;
  /// Files that lie on disk: each holds a descriptor.
  std::size_t files_on_disk = 64;
  /// Where they lie: "" is $TMPDIR, or /tmp.
  std::string directory = {};
};

/// A file of a form. Its bytes are in memory, or in a file without a name, which is gone with the
/// last copy of this handle, whatever ends the program.
/// Thread-safety  copies may be read by several tasks at once
class uploaded_file {
 public:
  /// The name of the field.
  [[nodiscard]] const std::string& name() const noexcept;
  /// As part::filename() and part::raw_filename().
  [[nodiscard]] const std::string& filename() const noexcept;
  [[nodiscard]] const std::string& raw_filename() const noexcept;
  [[nodiscard]] const std::string& content_type() const noexcept;
  [[nodiscard]] std::uint64_t size() const noexcept;
  [[nodiscard]] bool in_memory() const noexcept;
  /// Its bytes from the beginning; each call begins anew. Read off the loops, if it lies on disk.
  [[nodiscard]] body_reader body() const;
  /// Cancel, Throws  as body_reader::save_to
  [[nodiscard]] task<std::uint64_t> save_to(std::string path) const;

 private:
  friend struct detail::kept_file;
  explicit uploaded_file(std::shared_ptr<const detail::kept_file> f) noexcept
      : state_(std::move(f)) {}

  std::shared_ptr<const detail::kept_file> state_;
};

struct form_data {
  form fields;
  std::vector<uploaded_file> files;

  /// The first file of that field. nullptr: there is none.
  [[nodiscard]] const uploaded_file* file(std::string_view name) const noexcept;
};

/// Reads a form of either type, urlencoded or multipart/form-data, to its end. A part with a file's
/// name is a file; one that was left empty in a browser, without name and bytes, is left out.
/// Throws  part_error: 400 for a malformed body, 413 for what exceeds a limit, 415 for another
///         type; std::system_error where a file cannot be kept; what the body throws
[[nodiscard]] task<form_data> read_form(body_reader body, std::string content_type);
[[nodiscard]] task<form_data> read_form(body_reader body, std::string content_type,
                                        form_limits limits);
/// Of a server's request: its body_stream() and its Content-Type.
[[nodiscard]] task<form_data> read_form(request& r);
[[nodiscard]] task<form_data> read_form(request& r, form_limits limits);

}  // namespace heddle::http
