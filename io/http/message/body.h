// SPDX-License-Identifier: MIT
// Internal to io.
// A message's body: by its length, in chunks, or up to the end of the connection; and the trailers.
#pragma once

#include <heddle/io/http/message/parser_state.h>

#include <cstddef>
#include <string_view>

namespace heddle::http::detail {

/// Both say how many bytes they took.
std::size_t feed_body(parser_state& s, std::string_view bytes);
std::size_t feed_trailers(parser_state& s, std::string_view bytes);

}  // namespace heddle::http::detail
