// SPDX-License-Identifier: MIT
#include <heddle/io/http/content/q_value.h>

namespace heddle::http::detail {

int thousandths(std::string_view text) noexcept {
  if (text.empty() || (text[0] != '0' && text[0] != '1')) return -1;
  int value = (text[0] - '0') * 1000;
  if (text.size() == 1) return value;
  if (text[1] != '.' || text.size() > 5) return -1;
  int unit = 100;
  for (const char c : text.substr(2)) {
    if (c < '0' || c > '9') return -1;
    value += (c - '0') * unit;
    unit /= 10;
  }
  return value <= 1000 ? value : -1;
}

}  // namespace heddle::http::detail
