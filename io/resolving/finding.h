// SPDX-License-Identifier: MIT
// Internal to io.
// What resolve() does with a query.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/resolver.h>

namespace heddle::detail {

/// Yields the addresses of the query, each once and with a port: at once for a number, else from
/// the look-ups of the runtime. Throws, and is cancelled, as resolve().
[[nodiscard]] task<name_answer> find_addresses(name_query q);

}  // namespace heddle::detail
