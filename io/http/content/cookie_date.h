// SPDX-License-Identifier: MIT
// Internal to io.
// Dates as Set-Cookie fields have them: in more forms than any other field.
#pragma once

#include <ctime>
#include <optional>
#include <string_view>

namespace heddle::http::detail {

/// RFC 6265, 5.1.1. Nothing: the text names no date that exists.
[[nodiscard]] std::optional<std::time_t> parse_cookie_date(std::string_view text) noexcept;

}  // namespace heddle::http::detail
