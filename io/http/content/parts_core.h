// SPDX-License-Identifier: MIT
// Internal to io.
// Boundaries found in a body, however it was cut. What a part_reader shares with its parts.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/part_limits.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace heddle::http::detail {

class parts_core {
 public:
  /// preamble  before the first boundary
  /// fields    behind a boundary's line
  /// content   behind the empty line
  /// ended     behind the last boundary
  enum class place : std::uint8_t { preamble, fields, content, ended };

  parts_core(body_reader body, std::string_view boundary, const part_limits& limits);

  /// To the fields of the next part. False: there is none, and the body has been read to its end.
  task<bool> to_next_part();
  /// The fields, with the empty line behind them. Then the content begins.
  task<std::string> take_fields();
  /// The next piece of the content of that part. "": its boundary has come. It is valid until the
  /// next call. Throws usage_error if the part is not the present one.
  task<std::string_view> next_piece(std::uint64_t of_part);

  [[nodiscard]] std::uint64_t part() const noexcept { return part_; }
  [[nodiscard]] const part_limits& limits() const noexcept { return limits_; }
  /// For an error in the fields: all later calls throw it too.
  void fail_with(std::exception_ptr e) noexcept { failure_ = std::move(e); }

  bool decodes = false;  // the encodings that a part names are undone

 private:
  /// A delimiter at the front of what is kept.
  ///   content  it is none: its first byte belongs to the content
  ///   more     more bytes are needed to tell
  enum class delimiter : std::uint8_t { content, more, next, last };

  [[nodiscard]] std::string_view kept() const noexcept {
    return std::string_view(kept_).substr(at_);
  }
  task<bool> fill();
  delimiter judge(std::string_view text, bool whole, std::size_t& length) const noexcept;
  std::size_t delimiter_in(std::string_view text) const noexcept;
  task<std::string_view> content();
  [[noreturn]] void fail(int status, const std::string& what);

  body_reader body_;
  const std::string delimiter_;  // CR LF "--" boundary
  const part_limits limits_;
  std::string kept_;  // read from the body, and not taken yet
  std::size_t at_ = 0;
  place place_ = place::preamble;
  bool whole_ = false;          // the body has ended
  bool behind_fields_ = false;  // the end of the empty line is still kept
  bool open_ = false;           // the present part may be read
  std::uint64_t part_ = 0;      // so many have begun
  std::exception_ptr failure_;
};

}  // namespace heddle::http::detail
