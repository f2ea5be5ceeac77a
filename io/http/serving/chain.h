// SPDX-License-Identifier: MIT
// Internal to io.
// The middlewares of a route, and the handler that they stand around.
#pragma once

#include <heddle/io/http/handler.h>
#include <heddle/io/http/middleware.h>

#include <vector>

namespace heddle::http::detail {

/// Constant once the server has started.
struct handler_chain {
  std::vector<middleware> around;  // the outermost first
  handler inner;
  bool loads = true;  // the body is read before the handler is called
};

/// A handler that runs the chain. It shares the chain.
[[nodiscard]] handler::waiting in_chain(handler_chain c);

}  // namespace heddle::http::detail
