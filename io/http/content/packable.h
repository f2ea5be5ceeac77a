// SPDX-License-Identifier: MIT
// Internal to io.
// Which types of content become smaller by a coding, as far as the type tells.
//
//   packable.h   if (!is_packable("text/html; charset=utf-8")) send_as_it_is();
#pragma once

#include <string_view>

namespace heddle::http::detail {

/// True for texts. False for what is packed by itself, for types that nobody has named here, and
/// for a stream of events, whose pieces must not wait in a coding.
[[nodiscard]] bool is_packable(std::string_view type) noexcept;

}  // namespace heddle::http::detail
