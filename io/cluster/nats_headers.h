// SPDX-License-Identifier: MIT
// Internal to io.
// The headers of a NATS message: lines of names and values behind NATS/1.0, perhaps with a status.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::cluster::detail {

class nats_headers {
 public:
  nats_headers() = default;
  /// Reads a block. What is no header is passed over; an empty block has none.
  static nats_headers parse(std::string_view block);

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
  [[nodiscard]] std::string block() const;

 private:
  int status_ = 0;
  std::string status_text_;
  std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace heddle::cluster::detail
