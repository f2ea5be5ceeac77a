// SPDX-License-Identifier: MIT
// Internal to io.
// How a request comes to a connection when none is kept.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/http/calling/call.h>
#include <heddle/io/http/calling/connections.h>

#include <string>

namespace heddle::http::detail {

/// Connections are shared by requests for which this text is the same: scheme, host, port, and what
/// else makes a connection another one.
[[nodiscard]] std::string where_to(const call& c);

/// A connection for the request: a new one, or, after a wait for a place, perhaps a kept one.
/// `got` may hold a place.
/// Throws  connect_error with all addresses and their reasons, tls_error, timed_out, usage_error
/// Cancel  gives the place back
task<wire_ptr> reach(call& c, std::string where, taken got);

}  // namespace heddle::http::detail
