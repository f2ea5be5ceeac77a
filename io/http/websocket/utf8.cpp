// SPDX-License-Identifier: MIT
#include <heddle/io/http/websocket/utf8.h>

#include <cstddef>
#include <cstring>

namespace heddle::http::detail {
namespace {

/// So many bytes in front are ASCII, as far as whole words go.
std::size_t ascii_words(const char* at, std::size_t n) noexcept {
  constexpr std::uint64_t high_bits = 0x8080808080808080U;
  std::size_t done = 0;
  for (; n - done >= sizeof(std::uint64_t); done += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, at + done, sizeof word);
    if ((word & high_bits) != 0) break;
  }
  return done;
}

}  // namespace

/// The first byte of a character says how many follow. It also bounds the second one, so that
/// surrogates, long forms and too great numbers are met there.
bool utf8_checker::begin(unsigned char lead) noexcept {
  least_ = 0x80;
  most_ = 0xbf;
  if (lead < 0x80) return true;
  if (lead < 0xc2 || lead > 0xf4) return false;
  missing_ = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  if (lead == 0xe0) least_ = 0xa0;
  if (lead == 0xed) most_ = 0x9f;
  if (lead == 0xf0) least_ = 0x90;
  if (lead == 0xf4) most_ = 0x8f;
  return true;
}

bool utf8_checker::feed(std::string_view bytes) noexcept {
  std::size_t i = 0;
  while (i < bytes.size()) {
    if (missing_ == 0) {
      i += ascii_words(bytes.data() + i, bytes.size() - i);
      if (i == bytes.size()) break;
      if (!begin(static_cast<unsigned char>(bytes[i++]))) return false;
      continue;
    }
    const auto next = static_cast<unsigned char>(bytes[i++]);
    if (next < least_ || next > most_) return false;
    least_ = 0x80;
    most_ = 0xbf;
    --missing_;
  }
  return true;
}

bool is_utf8(std::string_view text) noexcept {
  utf8_checker c;
  return c.feed(text) && c.complete();
}

}  // namespace heddle::http::detail
