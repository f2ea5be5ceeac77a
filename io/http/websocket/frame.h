// SPDX-License-Identifier: MIT
// Internal to io.
// Heads of frames and bodies of close frames (RFC 6455, 5.2 and 5.5.1) as bytes.
#pragma once

#include <heddle/io/http/websocket/masking.h>
#include <heddle/io/http/websocket_options.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace heddle::http::detail {

enum class opcode : std::uint8_t {
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10,
};

/// The longest head, and the longest body of a ping, a pong or a close.
inline constexpr std::size_t most_frame_head = 14;
inline constexpr std::size_t most_control = 125;
/// The longest reason of a close: its code takes two bytes.
inline constexpr std::size_t most_reason = most_control - 2;

/// Codes of closing (RFC 6455, 7.4.1) that the library itself uses.
namespace ws_code {
inline constexpr int normal = 1000;
inline constexpr int going_away = 1001;
inline constexpr int broken_rules = 1002;
inline constexpr int none_given = 1005;  // never on the wire
inline constexpr int lost = 1006;        // never on the wire
inline constexpr int bad_data = 1007;
inline constexpr int too_big = 1009;
inline constexpr int failed = 1011;
inline constexpr int try_later = 1013;
}  // namespace ws_code

/// True: the code may stand in a close frame.
[[nodiscard]] bool is_close_code(int code) noexcept;

struct frame_head {
  opcode op = opcode::text;
  bool fin = true;
  bool compressed = false;  // RSV1
  std::uint64_t length = 0;
};

/// Writes the head of a frame, with the key if `key` is not nullptr. Returns its size.
[[nodiscard]] std::size_t write_frame_head(std::array<char, most_frame_head>& to,
                                           const frame_head& head, const mask_key* key) noexcept;
/// Appends a whole frame. A client's is masked with a fresh key.
void append_frame(std::string& to, const frame_head& head, std::string_view body, ws_side sender);
/// The body of a close frame; `none_given`: no body.
[[nodiscard]] std::string close_body(int code, std::string_view reason);
/// The text without a character that is cut at its end, and at most `most` bytes of it.
[[nodiscard]] std::string_view cut_text(std::string_view text, std::size_t most) noexcept;

}  // namespace heddle::http::detail
