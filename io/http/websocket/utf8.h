// SPDX-License-Identifier: MIT
// Internal to io.
// UTF-8, checked while it arrives.
#pragma once

#include <cstdint>
#include <string_view>

namespace heddle::http::detail {

/// Says at the first wrong byte that a text is no UTF-8 (RFC 3629): no surrogates, no code point
/// above U+10FFFF, no form that is longer than needed. The text may be cut anywhere.
/// Cost      ASCII goes by eight bytes at a time; a byte of another character is two comparisons
class utf8_checker {
 public:
  /// False: no text that begins with what was fed is UTF-8. It is not fed again then.
  [[nodiscard]] bool feed(std::string_view bytes) noexcept;
  /// The text may end here: no character is cut.
  [[nodiscard]] bool complete() const noexcept { return missing_ == 0; }

 private:
  [[nodiscard]] bool begin(unsigned char lead) noexcept;

  std::uint8_t missing_ = 0;   // so many bytes of the character are to come
  std::uint8_t least_ = 0x80;  // the next one lies between these
  std::uint8_t most_ = 0xbf;
};

/// True: all of it is UTF-8.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

}  // namespace heddle::http::detail
