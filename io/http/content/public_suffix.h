// SPDX-License-Identifier: MIT
// Internal to io.
// Domains under which anybody may register a name.
#pragma once

#include <string>

namespace heddle::http::detail {

/// `domain` is in lower case, without a dot at either end.
[[nodiscard]] bool is_public_suffix(const std::string& domain);

}  // namespace heddle::http::detail
