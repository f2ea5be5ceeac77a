// SPDX-License-Identifier: MIT
// Internal to io.
// A message as bytes that many connections send: encoded once, and compressed at most once.
#pragma once

#include <heddle/io/http/websocket_options.h>

#include <memory>
#include <string>
#include <string_view>

namespace heddle::http::detail {

/// Constant once it is made.
struct prepared_message {
  ws_kind kind = ws_kind::text;
  std::string frame;        // a server's, whole
  std::size_t body_at = 0;  // where in it the payload begins
  std::string compressed;   // the payload, compressed on its own; empty: it is sent plain
  int window = 0;           // bits, of `compressed`

  [[nodiscard]] std::string_view body() const noexcept {
    return std::string_view(frame).substr(body_at);
  }
};

/// Throws bad_value for text that is no UTF-8. `compresses`: also makes the compressed form, if it
/// is smaller.
[[nodiscard]] std::shared_ptr<const prepared_message> prepare_message(ws_kind kind,
                                                                      std::string_view data,
                                                                      bool compresses);

}  // namespace heddle::http::detail
