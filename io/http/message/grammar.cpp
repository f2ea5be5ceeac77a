// SPDX-License-Identifier: MIT
#include <heddle/io/http/message/grammar.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdint>
#include <cstring>

namespace heddle::http::detail {
namespace {

constexpr auto name_chars = table_of("-._~!$&'()*+,;=");  // of a host, unescaped

bool is_hex(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// RFC 3986, 3.2.3: digits, perhaps none, and a number that a port can be.
bool is_port(std::string_view text) noexcept {
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || value > 65535) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value <= 65535;
}

/// What stands between the brackets of an IP literal.
bool is_literal(std::string_view text) noexcept {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size()) return false;
  std::memcpy(copy.data(), text.data(), text.size());
  in6_addr unused;
  return ::inet_pton(AF_INET6, copy.data(), &unused) == 1;
}

}  // namespace

bool is_host(std::string_view text) noexcept {
  const char* p = text.data();
  const char* const end = p + text.size();
  if (p != end && *p == '[') {
    const auto close = text.find(']');
    if (close == std::string_view::npos || !is_literal(text.substr(1, close - 1))) return false;
    p += close + 1;
  } else {
    for (;;) {
      while (p != end && is_in(name_chars, *p)) ++p;
      if (p == end || *p != '%') break;
      if (end - p < 3 || !is_hex(p[1]) || !is_hex(p[2])) return false;
      p += 3;
    }
  }
  return p == end || (*p == ':' && is_port(std::string_view(p + 1, end)));
}

}  // namespace heddle::http::detail
