// SPDX-License-Identifier: MIT
// Internal to io.
// The small grammars that the parser judges itself: tokens, hosts, ports, methods.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace heddle::http::detail {

/// True for letters, digits, and the characters of `more`.
constexpr std::array<bool, 256> table_of(std::string_view more) {
  std::array<bool, 256> t{};
  for (int c = '0'; c <= '9'; ++c) t[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) t[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) t[static_cast<std::size_t>(c)] = true;
  for (const char c : more) t[static_cast<unsigned char>(c)] = true;
  return t;
}
inline constexpr auto token_chars = table_of("!#$%&'*+-.^_`|~");

inline bool is_in(const std::array<bool, 256>& table, char c) noexcept {
  return table[static_cast<unsigned char>(c)];
}

/// RFC 9110, 7.2: a host, which may be empty, and a port, if there is one.
bool is_host(std::string_view text) noexcept;

/// The methods that llhttp reads itself: those of nearly every request.
inline bool is_usual_method(std::string_view bytes) noexcept {
  return bytes.starts_with("GET ") || bytes.starts_with("POST ") || bytes.starts_with("HEAD ") ||
         bytes.starts_with("PUT ");
}

}  // namespace heddle::http::detail
