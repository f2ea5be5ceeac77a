// SPDX-License-Identifier: MIT
#include <heddle/core/simulated/world.h>
#include <heddle/io/cluster/token.h>
#include <heddle/io/http/content/random_bytes.h>
#include <heddle/sched/simulate.h>

namespace heddle::cluster::detail {

std::uint64_t random_number() {
  std::uint64_t n = 0;
  if (heddle::detail::this_world()) {  // a simulated program has no chance but that of its seed
    for (int i = 0; i < 8; ++i) n = n << 8U | heddle::testing::choose(256);
    return n;
  }
  for (const char c : http::detail::random_bytes(sizeof n))
    n = n << 8U | static_cast<unsigned char>(c);
  return n;
}

std::string random_token() {
  constexpr std::string_view digits = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::string out;
  std::uint64_t n = random_number();
  for (int i = 0; i < 12; ++i, n /= digits.size()) out += digits[n % digits.size()];
  return out;
}

bool is_id(std::string_view id) noexcept {
  const auto dot = id.find('.');
  if (id.size() > most_id || dot == 0 || dot == std::string_view::npos || dot + 1 == id.size())
    return false;
  for (std::size_t i = 0; i < id.size(); ++i) {
    const char c = id[i];
    const bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || i == dot;
    if (!fine) return false;
  }
  return true;
}

std::string to_base32(std::string_view bytes, std::string_view digits) {
  std::string out;
  std::uint32_t bits = 0;
  unsigned n = 0;
  for (const char c : bytes) {
    bits = (bits << 8U | static_cast<unsigned char>(c)) & 0xfffffU;
    for (n += 8; n >= 5;) {
      n -= 5;
      out += digits[bits >> n & 31U];
    }
  }
  if (n > 0) out += digits[bits << (5 - n) & 31U];
  return out;
}

std::string key_token(std::string_view key) {
  return to_base32(key, "abcdefghijklmnopqrstuvwxyz234567");
}

std::uint64_t hash_of(std::string_view bytes, std::uint64_t seed) noexcept {
  for (const char c : bytes) {
    seed ^= static_cast<unsigned char>(c);
    seed *= 0x100000001b3U;
  }
  return seed;
}

}  // namespace heddle::cluster::detail
