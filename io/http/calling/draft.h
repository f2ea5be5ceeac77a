// SPDX-License-Identifier: MIT
// Internal to io.
// A request that is being told to a request_builder.
#pragma once

#include <heddle/io/http/calling/call.h>
#include <heddle/io/http/multipart.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http::detail {

struct draft {
  call request;
  std::string query;  // what is appended
  std::vector<std::pair<std::string, std::string>> cookies;
  std::vector<std::string> skipped;  // fields that are not sent by themselves
  std::string_view type;             // of the body: a literal
  std::optional<multipart> parts;    // the body, once its files have been looked at
  coding packing = coding::identity;
  bool has_body = false;
  bool is_ws = false;                  // its URL began with ws or wss
  std::vector<std::string> protocols;  // of a WebSocket
  std::optional<unsigned> redirects;
};

/// A call that knows its session, and what that says of all requests. `address` may name a user,
/// whose Authorization is added. Throws bad_value, usage_error.
[[nodiscard]] call begin_call(heddle::detail::counted_ptr<connection_pool> pool,
                              std::string address);
/// Completes the call. Throws bad_value, for example for a Content-Length that is not the body's.
[[nodiscard]] call finish(draft d, method m);

}  // namespace heddle::http::detail
