// SPDX-License-Identifier: MIT
#include <heddle/io/http/websocket/frame.h>

#include <heddle/core/checked.h>
#include <heddle/io/byte_order.h>

namespace heddle::http::detail {

bool is_close_code(int code) noexcept {
  if (code >= 3000 && code <= 4999) return true;
  if (code < 1000 || code > 1014) return false;
  return code != 1004 && code != ws_code::none_given && code != ws_code::lost;
}

std::size_t write_frame_head(std::array<char, most_frame_head>& to, const frame_head& head,
                             const mask_key* key) noexcept {
  constexpr unsigned fin_bit = 0x80;
  constexpr unsigned rsv1_bit = 0x40;
  constexpr unsigned mask_bit = 0x80;
  const unsigned first = static_cast<unsigned>(head.op) | (head.fin ? fin_bit : 0U) |
                         (head.compressed ? rsv1_bit : 0U);
  to[0] = static_cast<char>(first);
  const unsigned masked = key != nullptr ? mask_bit : 0U;
  std::size_t n = 2;
  if (head.length < 126) {
    to[1] = static_cast<char>(masked | heddle::detail::narrow<unsigned>(head.length));
  } else {
    const std::size_t width = head.length <= 0xffff ? 2 : 8;
    to[1] = static_cast<char>(masked | (width == 2 ? 126U : 127U));
    heddle::detail::store_uint(to.data() + n, width, head.length, byte_order::big);
    n += width;
  }
  if (key != nullptr)
    for (const auto byte : *key) to[n++] = static_cast<char>(byte);
  return n;
}

void append_frame(std::string& to, const frame_head& head, std::string_view body, ws_side sender) {
  std::array<char, most_frame_head> bytes;
  mask_key key{};
  const bool masked = sender == ws_side::client;
  if (masked) key = fresh_mask();
  const auto n = write_frame_head(bytes, head, masked ? &key : nullptr);
  to.reserve(to.size() + n + body.size());
  to.append(bytes.data(), n);
  const auto at = to.size();
  to.append(body);
  if (masked) apply_mask(to.data() + at, body.size(), key, 0);
}

std::string close_body(int code, std::string_view reason) {
  if (code == ws_code::none_given) return {};
  std::string body(2, '\0');
  heddle::detail::store_uint(body.data(), 2, static_cast<std::uint64_t>(code), byte_order::big);
  body.append(reason);
  return body;
}

std::string_view cut_text(std::string_view text, std::size_t most) noexcept {
  if (text.size() <= most) return text;
  // Bytes 10xxxxxx continue a character, so the text may not be cut in front of one.
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0U) == 0x80U) --most;
  return text.substr(0, most);
}

}  // namespace heddle::http::detail
