// SPDX-License-Identifier: MIT
// Internal to io.
// Which requests may be sent again, and when.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/io/http/calling/call.h>

#include <ctime>
#include <optional>
#include <string_view>

namespace heddle::http::detail {

/// Its method does not do a thing twice, and its body can be sent again.
[[nodiscard]] bool may_be_repeated(const call& c) noexcept;

/// Its policy sends it again, if that is asked for by the status; 0: there was no connection.
[[nodiscard]] bool is_retried(const call& c, int status) noexcept;

/// How long the next try waits: what Retry-After says, or twice the wait before, with chance.
/// `now` is what the clock of the wall says.
[[nodiscard]] duration wait_before(const retry& policy, unsigned retried,
                                   std::optional<std::string_view> retry_after, std::time_t now);

}  // namespace heddle::http::detail
