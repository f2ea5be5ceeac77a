// SPDX-License-Identifier: MIT
// Internal to io.
// The way from the insides of WebSockets to their handles and back.
#pragma once

#include <heddle/io/http/websocket.h>
#include <heddle/io/http/websocket/core.h>

#include <memory>
#include <utility>

namespace heddle::http::detail {

struct websocket_access {
  static websocket make(ws_ref core) noexcept { return websocket(std::move(core)); }
  static const ws_ref& core(const websocket& ws) noexcept { return ws.core_; }
  static const std::shared_ptr<const prepared_message>& message(const prepared& m) noexcept {
    return m.shared_;
  }
};

}  // namespace heddle::http::detail
