// SPDX-License-Identifier: MIT
// Internal to io.
// A request on its way through middlewares.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/http/calling/call.h>
#include <heddle/io/http/client_hooks.h>
#include <heddle/io/http/client_response.h>

namespace heddle::http::detail {

/// Shared by the steps of one request.
struct chain {
  explicit chain(call c) : last(std::move(c)) {}
  const call last;  // what goes to the wire, before the middlewares change it
};

/// The middlewares of the request, or else of its session.
[[nodiscard]] const std::vector<client_middleware>& middlewares_of(const call& c) noexcept;

// The answer by way of the middlewares, if there are any.
[[nodiscard]] task<client_response> start_whole(call c);
[[nodiscard]] task<client_stream> start_stream(call c);

}  // namespace heddle::http::detail
