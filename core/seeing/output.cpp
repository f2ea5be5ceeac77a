// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/output.h>

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace heddle::detail::seeing {
namespace {

constexpr char digits[] = "0123456789abcdef";

/// How many bytes the letter of UTF-8 at the beginning of `text` has; 0: it is none.
std::size_t letter(std::string_view text) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto first = at(0);
  std::size_t n = 0;
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) n = 2;
  if (first >= 0xe0 && first < 0xf0) n = 3;
  if (first >= 0xf0 && first < 0xf5) n = 4;
  if (n == 0 || n > text.size()) return 0;
  for (std::size_t i = 1; i < n; ++i)
    if ((at(i) & 0xc0) != 0x80) return 0;
  // Controls, numbers too large, halves of pairs, and forms that are too long.
  if ((first == 0xc2 && at(1) < 0xa0) || (first == 0xe0 && at(1) < 0xa0) ||
      (first == 0xed && at(1) >= 0xa0) || (first == 0xf0 && at(1) < 0x90) ||
      (first == 0xf4 && at(1) >= 0x90))
    return 0;
  return n;
}

}  // namespace

void output::put(char c) noexcept {
  if (used_ == sizeof buffer_) flush();
  buffer_[used_++] = c;
  // Bytes inside a letter of UTF-8 take no place.
  if (c == '\n')
    column_ = 0;
  else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80)
    ++column_;
}

void output::put(std::string_view text) noexcept {
  for (const char c : text) put(c);
}

void output::column(std::size_t to) noexcept {
  do put(' ');
  while (column_ < to);
}

void output::number(std::uint64_t value) noexcept {
  char text[20];
  std::size_t n = 0;
  do text[n++] = digits[value % 10];
  while ((value /= 10) != 0);
  while (n != 0) put(text[--n]);
}

void output::escaped(std::string_view text, std::size_t most) noexcept {
  std::size_t told = 0;
  while (!text.empty()) {
    if (told >= most) return put("...");
    const std::size_t n = letter(text);
    const char c = text[0];
    if (n == 1 && c >= ' ' && c != 0x7f && c != '\\') {
      put(c);
      ++told;
    } else if (n > 1) {
      put(text.substr(0, n));
      ++told;
    } else if (c == '\n' || c == '\t' || c == '\\') {
      put('\\');
      put(c == '\n' ? 'n' : c == '\t' ? 't' : '\\');
      told += 2;
    } else {
      put("\\x");
      put(digits[static_cast<unsigned char>(c) >> 4]);
      put(digits[static_cast<unsigned char>(c) & 15]);
      told += 4;
    }
    text.remove_prefix(n > 1 ? n : 1);
  }
}

void output::json(std::string_view text) noexcept {
  put('"');
  while (!text.empty()) {
    const std::size_t n = letter(text);
    const char c = text[0];
    if (c == '"' || c == '\\') {
      put('\\');
      put(c);
    } else if (n > 1) {
      put(text.substr(0, n));
    } else if (n == 1 && c >= ' ' && c != 0x7f) {
      put(c);
    } else {  // a byte that is no letter stands for the letter of that number
      put("\\u00");
      put(digits[static_cast<unsigned char>(c) >> 4]);
      put(digits[static_cast<unsigned char>(c) & 15]);
    }
    text.remove_prefix(n > 1 ? n : 1);
  }
  put('"');
}

void output::flush() noexcept {
  if (taker_) {
    if (good_ && used_ != 0) good_ = taker_(context_, {buffer_, used_});
    used_ = 0;
    return;
  }
  const char* at = buffer_;
  while (good_ && used_ != 0) {
    const auto n = ::write(to_, at, used_);
    if (n >= 0) {
      at += n;
      used_ -= static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // A descriptor that does not block: a second for its reader, then the rest is dropped.
      pollfd room{to_, POLLOUT, 0};
      if (::poll(&room, 1, 1000) == 0) good_ = false;
    } else if (errno != EINTR) {
      good_ = false;
    }
  }
  used_ = 0;
}

}  // namespace heddle::detail::seeing
