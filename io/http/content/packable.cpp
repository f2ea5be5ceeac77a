// SPDX-License-Identifier: MIT
#include <heddle/io/http/content/packable.h>

#include <heddle/io/http/message.h>

#include <array>

namespace heddle::http::detail {

bool is_packable(std::string_view type) noexcept {
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  if (same_token(type, "text/event-stream")) return false;
  if (type.size() > 5 && same_token(type.substr(0, 5), "text/")) return true;
  constexpr std::array<std::string_view, 6> known = {
      "application/json",          "application/javascript", "application/xml",
      "application/manifest+json", "application/wasm",       "image/svg+xml"};
  for (const auto k : known)
    if (same_token(type, k)) return true;
  return type.ends_with("+json") || type.ends_with("+xml");
}

}  // namespace heddle::http::detail
