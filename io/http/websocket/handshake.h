// SPDX-License-Identifier: MIT
// Internal to io.
// The handshake that opens a WebSocket (RFC 6455, 4), both sides, as functions of messages. No
// socket, no clock.
#pragma once

#include <heddle/io/http/message.h>
#include <heddle/io/http/websocket/deflate.h>
#include <heddle/io/http/websocket_options.h>

#include <optional>
#include <string>
#include <string_view>

namespace heddle::http::detail {

/// What the two ends have agreed on.
struct ws_agreed {
  std::string protocol;  // empty: none
  std::optional<deflate_terms> deflate;
};

/// Throws bad_value, which names the field, for options out of their ranges.
void check_options(const ws_options& o);

/// 16 random bytes in base64. Throws std::runtime_error, if the system has no random numbers.
[[nodiscard]] std::string fresh_key();
/// The value of Sec-WebSocket-Accept that belongs to a key.
[[nodiscard]] std::string accept_of(std::string_view key);

// --- server ---

/// The answer to a request that does not open a WebSocket here: 405 for a method but GET, 426 for
/// another version, 403 for an origin that is not let in, 400 for all else. Nothing: it does.
[[nodiscard]] std::optional<response> refusal_of(const request& r, const ws_options& o);
/// What a server agrees to. The request has no refusal.
[[nodiscard]] ws_agreed agree(const request& r, const ws_options& o, std::string& extensions);
/// The head of the answer 101. `extra`: further fields of the handler's.
[[nodiscard]] std::string switching_head(const request& r, const ws_agreed& with,
                                         std::string_view extensions, const headers& extra);

// --- client ---

/// The fields of the request that opens a WebSocket. Those of `o.headers` come last. Throws
/// bad_value if they name a field of the handshake, or if a protocol is no token or repeated.
[[nodiscard]] headers opening_fields(const ws_options& o, std::string_view key);
/// Judges the head of an answer. Throws handshake_error, with the body as far as it came.
[[nodiscard]] ws_agreed judge_answer(const response& r, const ws_options& o, std::string_view key);

}  // namespace heddle::http::detail
