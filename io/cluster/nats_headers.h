// SPDX-License-Identifier: MIT
// Internal to io.
// The headers of a NATS message: lines of names and values behind NATS/1.0, perhaps with a status.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::cluster::detail {

/// Either read, by parse() and get(), or written, by add() and block().
class nats_headers {
 public:
  nats_headers() = default;
  /// Reads a block, of less than 4 GiB. What is no header is passed over; an empty block has none.
  static nats_headers parse(std::string block);

  /// 0: the message has none. 404: no messages; 408: the time is over; 409: the consumer is not fit
  /// for it; 503: nobody listens.
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const std::string& status_text() const noexcept { return status_text_; }
  /// The value of a header, or "". Letter case counts, as it does in the server.
  [[nodiscard]] std::string_view get(std::string_view name) const noexcept;

  /// Line ends in a value become blanks, so that a value stays one value.
  void add(std::string_view name, std::string_view value);
  void add(std::string_view name, long long value) { add(name, std::to_string(value)); }
  /// The block, with its first line and its empty one.
  [[nodiscard]] std::string block() &&;

 private:
  struct field {
    std::uint32_t name, name_size, value, value_size;  // in text_
  };
  void note(std::string_view name, std::string_view value);
  [[nodiscard]] std::string_view at(std::uint32_t from, std::uint32_t size) const noexcept {
    return std::string_view(text_).substr(from, size);
  }

  int status_ = 0;
  std::string status_text_;
  std::string text_;  // the block; what is written has no empty line yet
  std::vector<field> fields_;
};

}  // namespace heddle::cluster::detail
