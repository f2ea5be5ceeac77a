// SPDX-License-Identifier: MIT
// Internal to io.
// llhttp inside of a parser. Only the parser's own sources include this, so that llhttp's header
// stays out of everybody else's.
#pragma once

#include <heddle/io/http/message.h>
#include <heddle/io/http/message/parser_state.h>

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <string_view>

namespace heddle::http::detail {

inline llhttp_t& llhttp_of(parser_state& s) noexcept {
  return *std::launder(reinterpret_cast<llhttp_t*>(s.llhttp_));
}

inline const llhttp_t& llhttp_of(const parser_state& s) noexcept {
  return *std::launder(reinterpret_cast<const llhttp_t*>(s.llhttp_));
}

/// Makes the parser one of requests, or of responses, into the given object. Once.
void attach(parser_state& s, request& into) noexcept;
void attach(parser_state& s, response& into) noexcept;

/// Ready for the next message.
void restart(parser_state& s) noexcept;

/// As parser_core::declared_length().
std::optional<std::uint64_t> length_of_body(const parser_state& s) noexcept;

/// Lets llhttp have the bytes. Says how many it took until a callback paused it or an error stopped
/// it. What is wrong stands in the state then.
std::size_t run_llhttp(parser_state& s, std::string_view bytes);

}  // namespace heddle::http::detail
