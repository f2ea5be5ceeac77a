// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: numbers as /proc writes them.
#pragma once

#include <cstdint>
#include <string_view>

namespace tool {

/// The number that `text` begins with, in base 10 or 16 (with or without "0x"); 0: there is none.
/// What is too large is cut.
[[nodiscard]] constexpr std::uint64_t number_at(std::string_view text, unsigned base) noexcept {
  if (base == 16 && text.substr(0, 2) == "0x") text.remove_prefix(2);
  std::uint64_t value = 0;
  for (const char c : text) {
    const char small = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    const unsigned digit = small >= '0' && small <= '9'   ? static_cast<unsigned>(small - '0')
                           : small >= 'a' && small <= 'f' ? static_cast<unsigned>(small - 'a' + 10)
                                                          : base;
    if (digit >= base) break;
    value = value * base + digit;
  }
  return value;
}

}  // namespace tool
