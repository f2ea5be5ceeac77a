// SPDX-License-Identifier: MIT
// Internal to io.
// The addresses of a host that is to be connected to.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/connection_options.h>
#include <heddle/io/resolver.h>

#include <string>

namespace heddle::detail {

/// Problem   One look-up for both families ends when both answers are there. A server that does not
///           answer for one family then costs its time-out, although the other family is known.
/// Chosen    With options.resolution_delay the families are asked for apart, at one time. When one
///           has given addresses, the other has so long to follow (RFC 8305). After that it is
///           dropped.
/// Costs     Two look-ups, and so two threads with getaddrinfo, which then cannot order the
///           families either. So it is not the default.
///
/// Yields at least one address. The answer is `kept` if it, or that for one of the families, came
/// from a cache. With `fresh` none does. The arguments outlive the task. Throws what resolve()
/// throws; if both families failed, the error of IPv4.
[[nodiscard]] task<name_answer> addresses_of(const std::string& host, port_number port,
                                             const connection_options& options, bool fresh);

}  // namespace heddle::detail
