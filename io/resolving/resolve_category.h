// SPDX-License-Identifier: MIT
// Internal to io; installed, since public headers need it.
// The errors of name resolution, as a category of their own. Not in the umbrella header: few
// compare codes, and <system_error> costs.
#pragma once

#include <system_error>

namespace heddle {

/// Errors of getaddrinfo (EAI_NONAME and so on). Thread-safe; costs nothing.
const std::error_category& resolve_category() noexcept;

}  // namespace heddle
