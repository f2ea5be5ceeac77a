// SPDX-License-Identifier: MIT
// Internal to io.
// A WebSocket that opens over a session: with its proxies, cookies, credentials and redirections.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/http/calling/call.h>
#include <heddle/io/http/calling/draft.h>
#include <heddle/io/http/websocket.h>
#include <heddle/io/http/websocket_options.h>

#include <memory>

namespace heddle::http::detail {

/// Completes the call that opens a WebSocket. What the options lack, `d` may have. Throws
/// bad_value; usage_error for a body.
[[nodiscard]] call finish_upgrade(draft d, ws_options& o);
/// Opens it. Throws handshake_error, and what a request throws.
[[nodiscard]] task<websocket> open_websocket(call c, std::shared_ptr<const ws_options> o);

}  // namespace heddle::http::detail
