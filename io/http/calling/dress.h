// SPDX-License-Identifier: MIT
// Internal to io.
// What a session adds to each hop of a request, and takes from each answer: cookies and
// credentials.
#pragma once

#include <heddle/io/http/calling/call.h>
#include <heddle/io/http/message.h>

namespace heddle::http::detail {

/// Adds cookies of the jar, and Authorization. Without a jar and credentials it does nothing.
/// Throws  what a bearer's provider throws
void dress(call& c);

/// Takes the cookies of an answer.
inline void take_cookies(const call& c, const headers& answer) {
  if (auto jar = c.pool->options.cookies) jar->set_all(c.to, answer);
}

/// A 401 to a request whose credentials are a digest.
[[nodiscard]] inline bool is_challenge(const call& c, int status) noexcept {
  return status == 401 && std::holds_alternative<digest>(c.auth()) &&
         !(c.extras && (c.extras->answered || c.extras->strange_origin));
}

/// True: the challenge of a 401 can be answered, by sending the request again.
[[nodiscard]] bool answers_challenge(call& c, const headers& answer);

}  // namespace heddle::http::detail
