// SPDX-License-Identifier: MIT
#include <heddle/io/http/content/cookie_date.h>

#include <heddle/io/http/message.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace heddle::http::detail {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// RFC 6265: what stands between the parts of a date. A colon and all beyond ASCII are parts.
bool is_delimiter(char c) noexcept {
  const auto u = static_cast<unsigned char>(c);
  return u == 0x09 || (u >= 0x20 && u <= 0x2f) || (u >= 0x3b && u <= 0x40) ||
         (u >= 0x5b && u <= 0x60) || (u >= 0x7b && u <= 0x7e);
}

/// Takes `least` to `most` digits from the front of `text`. -1: there are fewer or more.
int take_number(std::string_view& text, std::size_t least, std::size_t most) noexcept {
  std::size_t n = 0;
  int value = 0;
  while (n < text.size() && is_digit(text[n])) {
    if (n == most) return -1;
    value = value * 10 + (text[n] - '0');
    ++n;
  }
  if (n < least) return -1;
  text.remove_prefix(n);
  return value;
}

struct date_parts {
  int hour = -1, minute = -1, second = -1, day = -1, month = -1, year = -1;

  void take(std::string_view token) noexcept {
    if (hour < 0 && take_time(token)) return;
    if (day < 0) {
      auto rest = token;
      day = take_number(rest, 1, 2);
      if (day >= 0) return;
    }
    if (month < 0 && take_month(token)) return;
    if (year < 0) year = take_number(token, 2, 4);
  }
  [[nodiscard]] std::optional<std::time_t> value() noexcept {
    if (year >= 70 && year <= 99) year += 1900;
    if (year >= 0 && year <= 69) year += 2000;
    if (hour < 0 || hour > 23 || minute > 59 || second > 59) return std::nullopt;
    if (day < 1 || month < 1 || year < 1601) return std::nullopt;
    const std::chrono::year_month_day date(std::chrono::year(year),
                                           std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day)));
    if (!date.ok()) return std::nullopt;
    const auto days = std::chrono::sys_days(date).time_since_epoch().count();
    return static_cast<std::time_t>(days) * 86400 + hour * 3600 + minute * 60 + second;
  }

 private:
  bool take_time(std::string_view token) noexcept {
    const int h = take_number(token, 1, 2);
    if (h < 0 || !token.starts_with(':')) return false;
    token.remove_prefix(1);
    const int m = take_number(token, 1, 2);
    if (m < 0 || !token.starts_with(':')) return false;
    token.remove_prefix(1);
    const int s = take_number(token, 1, 2);
    if (s < 0) return false;
    hour = h;
    minute = m;
    second = s;
    return true;
  }
  bool take_month(std::string_view token) noexcept {
    constexpr std::array<std::string_view, 12> names = {"jan", "feb", "mar", "apr", "may", "jun",
                                                        "jul", "aug", "sep", "oct", "nov", "dec"};
    for (int i = 0; i < 12; ++i) {
      if (!same_token(token.substr(0, 3), names[static_cast<std::size_t>(i)])) continue;
      month = i + 1;
      return true;
    }
    return false;
  }
};

}  // namespace

std::optional<std::time_t> parse_cookie_date(std::string_view text) noexcept {
  date_parts parts;
  while (!text.empty()) {
    const auto end =
        static_cast<std::size_t>(std::ranges::find_if(text, is_delimiter) - text.begin());
    if (end != 0) parts.take(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return parts.value();
}

}  // namespace heddle::http::detail
