// SPDX-License-Identifier: MIT
// Internal to io.
#pragma once

#include <string>
#include <string_view>

namespace heddle::http::detail {

/// RFC 4648, 4, with padding, in one line.
[[nodiscard]] std::string base64(std::string_view bytes);

}  // namespace heddle::http::detail
