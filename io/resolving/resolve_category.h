// SPDX-License-Identifier: MIT
// Internal to io; installed, since public headers need it.
// The category of the errors of name resolution. Not in the umbrella header: few programs compare
// these codes, and <system_error> is slow to compile.
#pragma once

#include <system_error>

namespace heddle {

/// The category of the codes of getaddrinfo (EAI_NONAME and so on). Thread-safe; costs nothing.
const std::error_category& resolve_category() noexcept;

}  // namespace heddle
