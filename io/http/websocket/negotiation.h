// SPDX-License-Identifier: MIT
// Internal to io.
// Sec-WebSocket-Extensions: what is offered, chosen and accepted of permessage-deflate (RFC 7692,
// 7). Pure functions of text.
#pragma once

#include <heddle/io/http/websocket/deflate.h>
#include <heddle/io/http/websocket_options.h>

#include <optional>
#include <string>
#include <string_view>

namespace heddle::http::detail {

/// What a client offers.
[[nodiscard]] std::string deflate_offer(const ws_deflate& wish);

struct deflate_choice {
  deflate_terms terms;
  std::string answer;  // the server's field
};
/// What a server makes of the offers in a field. It takes the first that is without fault and that
/// it can keep, and passes over the others: unknown or repeated parameters, values that are none,
/// and a window of 8 bits for its own messages, which zlib does not make. Nothing: no offer is
/// taken.
[[nodiscard]] std::optional<deflate_choice> choose_deflate(std::string_view offers,
                                                           const ws_deflate& wish);
/// What a client makes of a server's answer to deflate_offer(). Returns nullptr, and sets the
/// terms; or says what is wrong.
[[nodiscard]] const char* accept_deflate(std::string_view answer, const ws_deflate& wish,
                                         deflate_terms& terms);

}  // namespace heddle::http::detail
