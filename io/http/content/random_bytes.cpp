// SPDX-License-Identifier: MIT
#include <heddle/io/http/content/random_bytes.h>

#include <heddle/core/checked.h>

#include <stdexcept>
#include <string_view>

#include <openssl/rand.h>

namespace heddle::http::detail {

std::string random_bytes(std::size_t n) {
  std::string out(n, '\0');
  auto* const to = reinterpret_cast<unsigned char*>(out.data());
  if (RAND_bytes(to, heddle::detail::narrow<int>(n)) != 1)
    throw std::runtime_error("OpenSSL has no random bytes");
  return out;
}

std::string hex(const std::string& bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += digits[byte >> 4U];
    out += digits[byte & 15U];
  }
  return out;
}

}  // namespace heddle::http::detail
