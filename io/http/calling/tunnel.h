// SPDX-License-Identifier: MIT
// Internal to io.
// A connection through a proxy.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/http/calling/call.h>
#include <heddle/io/stream.h>

#include <string>

namespace heddle::http::detail {

/// Asks the proxy at the other end of `c` for a tunnel to the call's server, and begins TLS in it.
/// Throws  proxy_error if there is no tunnel; tls_error
task<connection> dig(const call& of, connection c, tls_context tls, std::string server_name);

}  // namespace heddle::http::detail
