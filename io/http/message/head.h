// SPDX-License-Identifier: MIT
// Internal to io.
// The judgement of a message's head: its lines while they come, and all of it when it is complete.
#pragma once

#include <heddle/io/http/message/parser_state.h>

#include <string_view>

namespace heddle::http::detail {

/// Refuses what llhttp lets pass between the lines of a head, or of the trailers. Asked for the
/// bytes that llhttp has just taken: so what it finds came before whatever llhttp found, and takes
/// its place.
void check_lines(parser_state& s, std::string_view bytes) noexcept;

/// Judges a complete head, and says what follows: a body, nothing, or a refusal.
void accept_head(parser_state& s);

}  // namespace heddle::http::detail
