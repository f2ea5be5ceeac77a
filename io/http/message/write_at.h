// SPDX-License-Identifier: MIT
// Internal to io.
// Responses by a caller that has just looked at the clock.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/io/http/message.h>

#include <string>

namespace heddle::http {
struct reply_to;
}

namespace heddle::http::detail {

/// As write_response(). `now` is of the monotonic clock, the coarse one is enough: with it, the
/// clock for the Date is read once a second. So a Date follows a clock that was set within a
/// second. time_point(): the caller has no such time.
void write_response_at(std::string& out, const response& r, const reply_to& to, time_point now);

}  // namespace heddle::http::detail
