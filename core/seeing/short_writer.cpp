// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/short_writer.h>

namespace heddle::detail::seeing {

void short_writer::put(char c) noexcept {
  if (used_ + 1 >= room_) return;
  to_[used_++] = c;
  to_[used_] = 0;
}

void short_writer::put(std::string_view text) noexcept {
  for (const char c : text) put(c);
}

void short_writer::number(std::uint64_t value) noexcept {
  char digits[20];
  std::size_t n = 0;
  do digits[n++] = static_cast<char>('0' + value % 10);
  while ((value /= 10) != 0);
  while (n != 0) put(digits[--n]);
}

void short_writer::hexadecimal(std::uint64_t value) noexcept {
  put("0x");
  bool begun = false;
  for (int shift = 60; shift >= 0; shift -= 4) {
    const auto digit = (value >> shift) & 15;
    begun = begun || digit != 0 || shift == 0;
    if (begun) put("0123456789abcdef"[digit]);
  }
}

void put_time(short_writer& to, std::uint64_t nanoseconds) noexcept {
  const std::uint64_t tenths = (nanoseconds + 50'000'000) / 100'000'000;
  const std::uint64_t seconds = tenths / 10;
  if (seconds < 10) {
    to.number(seconds);
    to.put('.');
    to.number(tenths % 10);
    to.put(" s");
  } else if (seconds < 120) {
    to.number(seconds);
    to.put(" s");
  } else if (seconds < 7200) {
    to.number(seconds / 60);
    to.put(" min");
  } else if (seconds < 48 * 3600) {
    to.number(seconds / 3600);
    to.put(" h ");
    to.number(seconds % 3600 / 60);
    to.put(" min");
  } else {
    to.number(seconds / 86400);
    to.put(" d");
  }
}

void put_age(short_writer& to, std::uint64_t nanoseconds) noexcept {
  constexpr std::uint64_t days = 24;
  if (nanoseconds > days * 86400 * 1'000'000'000)
    to.put(">24 d");
  else
    put_time(to, nanoseconds);
}

}  // namespace heddle::detail::seeing
